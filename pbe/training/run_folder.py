"""Run folder: one training at a time in OUT; what it is made from in OUT/run.json."""

import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from pbe.training.config import TrainConfig
from pipeline.errors import InputError
from pipeline.storage.file_locks import lock_file
from pipeline.storage.whole_files import write_aside
from schemas.shards import json_bytes

RECORD, LOCK = "run.json", "lock"
_PACKAGES = ("torch", "deepspeed", "diffusers", "transformers", "numpy", "safetensors")


def lock_run(out: Path) -> TextIO:
    """Hold the run's folder until the process ends, however it ends.

    Raises:
        InputError: another training holds it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("w")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error}); give a folder that can") from error
    try:
        lock_file(lock)  # a filesystem without locks lets every training through
    except BlockingIOError as error:
        raise InputError(f"--out {out}: another training is at work here; wait for its end or stop it") from error
    return lock


def write_record(out: Path, config: TrainConfig, *, world: int, dataset: str) -> dict[str, Any]:
    """Write down what the run is made from, and return it."""
    record = {
        "config": asdict(config),
        "commit": find_commit(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "dataset_digest": dataset,
        "world": world,
    }
    write_aside(out / RECORD, json_bytes(record))
    return record


def find_commit() -> str:
    """Name the commit of the code that runs, and whether it was changed since."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
