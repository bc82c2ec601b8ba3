"""The trainer under the launchers that people use, as processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pbe.training.run_folder import METRICS, read_rows
from tests.pbe.training.rank_group import RANK_VARIABLES
from tests.pipeline.storage.odd_names import ALL_OF_IT
from tests.ports import free_ports
from tests.synthetic import write_synthetic

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).parent.parent.parent.parent
BIN = Path(sys.executable).parent
SCRIPT = "pbe/train.py"
SAVED = "run the same command again to go on"
LAUNCHERS = {
    "python": [sys.executable, SCRIPT],
    "torchrun": [str(BIN / "torchrun"), "--standalone", "--nproc-per-node", "2", SCRIPT],
    "deepspeed": [str(BIN / "deepspeed"), "--num_gpus", "2", "--master_port", str(free_ports(1)[0]), SCRIPT],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("launchers") / ALL_OF_IT  # which launchers hand on as it is
    write_synthetic(out, [[9, 5, 14, 7]], side=8, dimension=16)
    return out


@contextmanager
def launch(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process group; nothing of it outlives the block."""
    env = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
    env |= {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    env["PATH"] = f"{BIN}:{env['PATH']}"
    with log.open("ab") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def flags(data: Path, out: Path, *more: str) -> list[str]:
    base = "smoke --batch-size 8 --lanes 4 --workers 1 --eval-every 0 --vae none --clip none --mapper-blocks 1 "
    return [*base.split(), "--collective-timeout", "45", "--data", str(data), "--out", str(out), *more]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("launcher", "number", "code"),
    [
        pytest.param("python", signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param("torchrun", signal.SIGTERM, None, marks=pytest.mark.slow),
        ("deepspeed", signal.SIGTERM, None),
    ],
)
def test_a_signal_to_the_launcher_ends_the_training_with_a_checkpoint(
    launcher: str, number: int, code: int | None, data: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "run", tmp_path / "log"
    with launch([*LAUNCHERS[launcher], *flags(data, out, "--steps", "5000", "--save-every", "5000")], log) as process:
        wait_for(lambda: len(read_rows(out / METRICS)) >= 2)
        # deepspeed's outermost process forwards nothing: as a scheduler or a terminal does, tell the whole group
        (os.killpg if launcher == "deepspeed" else os.kill)(process.pid, number)
        wait_for(lambda: SAVED in log.read_text())
        assert code is None or process.wait(120) == code
    assert SAVED in log.read_text(), log.read_text()
    last = read_rows(out / METRICS)[-1]["step"]
    assert json.loads((out / "checkpoints" / f"step-{last:08d}" / "state.json").read_text())["step"] == last


def test_help_and_a_users_mistake_need_neither_torch_nor_deepspeed_and_show_no_traceback(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for arguments, code in ((["--help"], 0), (["huge"], 2), (["paper", "--zero-stage", "0"], 2)):
        with launch([sys.executable, "-X", "importtime", SCRIPT, *arguments], log) as process:
            assert process.wait(120) == code
    text = log.read_text()
    assert "--zero-stage" in text and "preset 'huge': give one of tiny, smoke, paper, 24gb" in text
    assert "give --zero-stage 1, 2 or 3" in text
    assert "Traceback" not in text and "| torch\n" not in text and "deepspeed" not in text.split("usage")[0]
