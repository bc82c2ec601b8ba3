"""A row's training is a process: what it prints, how it ends, and what stops it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pbe.evaluation.ablation.training import describe_end, is_finished, train_here, trained_steps

pytestmark = pytest.mark.processes

PYTHON = (sys.executable, "-S", "-c")
PATIENCE_SECONDS = 30
BAR = """
import sys
sys.stdout.buffer.write("begin\\n\\r 1 █\\r 2 ██\\nend".encode())
sys.stdout.flush()
sys.stderr.write("!")
"""


def test_what_the_trainer_prints_is_shown_whole_and_logged_without_the_states_of_its_bar(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "row.log"
    for _ in range(2):
        assert train_here(["smoke"], log, command=(*PYTHON, BAR)) == 0
    assert capfd.readouterr().out == "begin\n\r 1 █\r 2 ██\nend!" * 2
    assert log.read_text() == "begin\n 2 ██\nend!\n" * 2


@pytest.mark.parametrize(
    ("code", "end", "said"),
    [
        ("import sys; sys.exit(int(sys.argv[1]))", 2, "exit code 2"),
        ("import os, sys; os.kill(os.getpid(), int(sys.argv[1]))", -9, "killed by SIGKILL"),
    ],
)
def test_a_failed_training_is_reported_with_the_place_of_its_log(
    code: str, end: int, said: str, tmp_path: Path
) -> None:
    log = tmp_path / "row.log"
    assert train_here([str(abs(end))], log, command=(*PYTHON, code)) == end
    assert said in describe_end(end, log) and str(log) in describe_end(end, log)


TRAINER = """
import pathlib, signal, sys, time
told = []
signal.signal(signal.SIGINT, lambda *_: told.append(1))
pathlib.Path(sys.argv[1]).touch()
while not told: time.sleep(0.01)
time.sleep(0.2)
pathlib.Path(sys.argv[1]).write_text(f"told {len(told)} time, saved")
print("saved", flush=True)
sys.exit(130)
"""
PARENT = """
import pathlib, sys
from pipeline.command import guard, stop_on_sigterm
from pbe.evaluation.ablation.training import train_here
stop_on_sigterm()
train = lambda: train_here(sys.argv[2:], pathlib.Path("row.log"), command=(sys.executable, "-S", "-c", sys.argv[1]))
sys.exit(guard(train, go_on="again"))
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_ctrl_c_reaches_the_trainer_once_and_its_checkpoint_is_waited_for(
    number: int, code: int, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", PARENT, TRAINER, str(begun)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True) as parent:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(parent.pid, number)  # as a terminal does: all of the foreground
        assert parent.wait(PATIENCE_SECONDS) == code
    assert begun.read_text() == "told 1 time, saved"
    assert (tmp_path / "row.log").read_text() == "saved\n"


def test_a_training_is_finished_with_its_last_checkpoint_and_the_model_of_that_step(tmp_path: Path) -> None:
    state, note = tmp_path / "checkpoints/step-00000007/state.json", tmp_path / "model/pbe.json"
    assert not is_finished(tmp_path, steps=7) and trained_steps(tmp_path) == 0
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"step": 7}))
    assert not is_finished(tmp_path, steps=7) and trained_steps(tmp_path) == 7
    note.parent.mkdir()
    for step, content in ((7, {"step": 7}), (6, {"step": 6}), (None, {"step": None})):
        note.write_text(json.dumps({"format": 1, "weights": "raw", "bottleneck": True, "encoders": {}, **content}))
        assert is_finished(tmp_path, steps=7) == (step == 7)
        assert not is_finished(tmp_path, steps=8)
    note.write_text("{")
    assert not is_finished(tmp_path, steps=7)


def test_a_training_that_was_ended_between_its_average_and_the_raw_weights_is_not_finished(tmp_path: Path) -> None:
    for folder in ("checkpoints/step-00000007", "model/unet"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "checkpoints/step-00000007/state.json").write_text(json.dumps({"step": 7}))
    note = {"format": 1, "weights": "ema", "step": 7, "bottleneck": True, "encoders": {}}
    (tmp_path / "model/pbe.json").write_text(json.dumps(note))
    for ema, written, finished in ((0.9, "auto", False), (0.9, "ema", True), (0.0, "auto", True)):
        (tmp_path / "run.json").write_text(json.dumps({"config": {"ema": ema, "export_weights": written}}))
        assert is_finished(tmp_path, steps=7) == finished
    (tmp_path / "run.json").write_text(json.dumps({"config": {"ema": 0.9, "export_weights": "auto"}}))
    (tmp_path / "model-raw/unet").mkdir(parents=True)
    assert is_finished(tmp_path, steps=7)
