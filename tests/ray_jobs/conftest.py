"""Commands run as a user runs them, each with a process and a Ray of its own; or in this process, on one Ray for all.

A test takes `run` where its claim is about the process, or about a Ray that the job starts itself; else it takes
`drive`, which spares it the start of an interpreter and of a cluster.
"""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pipeline.command import run_command
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.facts import facts_of
from pipeline.encoders.vae import VaeEncoder
from pipeline.jobs.ending import end_dataset
from pipeline.jobs.inputs import check_inputs
from pipeline.jobs.preparation import pending_tasks, prepare
from pipeline.shards.records import read_records
from pipeline.shards.totals import count_totals
from pipeline.storage.folder import Folder
from pipeline.units.maker import UnitMaker
from ray_jobs.command import parse_shard_config
from ray_jobs.evaluating import evaluate_methods
from ray_jobs.sharding import shard_openimages
from ray_jobs.verifying import verify_shards
from tests.ray_jobs.head import ROOT, Head, running_head

MakeHere = Callable[[list[str]], list[str]]
Run = Callable[..., subprocess.CompletedProcess[str]]
JOBS = {
    "shard_openimages.py": shard_openimages,
    "verify_shards.py": verify_shards,
    "evaluate_methods.py": evaluate_methods,
}


@pytest.fixture(scope="session")
def quiet_environment() -> dict[str, str]:
    """The environment of a user at this checkout's Python, without a Ray to join."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    bin_folder = str(Path(sys.executable).parent)
    return {**environment, "PATH": f"{bin_folder}:{environment['PATH']}"}


@pytest.fixture(scope="session")
def head(quiet_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """The Ray that tests join which do not claim to start their own."""
    with running_head(tmp_path_factory.mktemp("root"), quiet_environment) as started:
        yield started


@pytest.fixture(scope="session")
def run(quiet_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a script of ray_jobs with arguments, from an empty folder, on a Ray of its own."""
    folder = tmp_path_factory.mktemp("cwd")

    def run_script(script: str, *arguments: str | Path, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "ray_jobs" / script), *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=quiet_environment, capture_output=True, text=True, timeout=400)

    return run_script


@pytest.fixture
def drive(head: Head, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the command of a script of ray_jobs in this process, on the head."""
    monkeypatch.setenv("RAY_ADDRESS", head.address)
    handler = signal.getsignal(signal.SIGTERM)

    def run_here(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [script, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = run_command(JOBS[script])
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    yield run_here
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def make_here(maker_of: Callable[..., UnitMaker], vae: VaeEncoder, clip: ClipEncoder) -> MakeHere:
    """Make the dataset of a command line without Ray, by the steps of the job; gives what was said of the plan."""

    def make_dataset(arguments: list[str]) -> list[str]:
        config, said = parse_shard_config(arguments), list[str]()
        told = {"say": said.append, "progress": lambda rows: None}
        job = prepare(check_inputs(config), Folder(config.out), device="cpu", encoders=facts_of(vae, clip), **told)
        for task in pending_tasks(job)[0]:
            maker_of(job).make(task)
        records = read_records(job.out)
        end_dataset(job, records, count_totals(job.plan, records, config.draws))
        return said

    return make_dataset
