"""Starts: CPU-seconds of each command until it has helped, refused, or found that there is nothing to do.

    python -m tests.benchmarks.starts [--root CHECKOUT] [--records 100000] [--s3-records 100000]

Each row is one process, Ray's own and other children aside, best of `--runs`; the goal stands beside it. Run it on an
idle machine: CPU-seconds grow with whatever shares the cores. `--root` measures another checkout with that one's
interpreter.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import fsspec
import tyro
from PIL import Image

from pipeline.config import ShardConfig
from pipeline.encoders.facts import ClipFacts, EncoderFacts, VaeFacts
from pipeline.jobs.known_encoders import remember_encoders, stamp_encoders
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.recipe import digest_of
from schemas.shards import MANIFEST, SCHEMA_VERSION, json_bytes, unit_name
from tests.benchmarks.resume import start_job, write_photos
from tests.object_storage import Proxy, serve_s3

ROOT = Path(__file__).parent.parent.parent
POLL_SECONDS = 0.02

# Runs a script or `-m module`, then leaves the process's own CPU-seconds in a file, however it ends.
MEASURED = """
import atexit, os, runpy, sys, time
from pathlib import Path
place = sys.argv.pop(1)
atexit.register(lambda: Path(place).write_text(str(time.process_time())))
sys.argv = sys.argv[1:]
if sys.argv[0] == "-m":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
elif sys.argv[0] == "-c":
    exec(sys.argv[1])
else:
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
INDEX_READER = """
from pbe.feed.dataset import open_dataset, read_shard_index
from pipeline.storage.folder import Folder
shards = open_dataset({out!r}, split="train").shards
print(read_shard_index(Folder({out!r}), shards[0]))
"""


@dataclass(frozen=True)
class StartsConfig:
    """Measure how much CPU each command spends before its work."""

    root: Path = ROOT
    """The checkout to measure."""
    runs: int = 3
    """Runs of each command, of which the best counts."""
    records: int = 100_000
    """Finished records on local disk, for the run that finds nothing to do."""
    s3_records: int = 100_000
    """The same on object storage."""


@dataclass(frozen=True)
class Row:
    """One command to measure: its arguments, and the most CPU-seconds that it should take."""

    name: str
    command: list[str]
    goal: float
    environment: dict[str, str] | None = None
    workers: bool = False


def main() -> int:
    """Measure all commands, and print a table."""
    config = tyro.cli(StartsConfig, description=StartsConfig.__doc__)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="starts-") as scratch:
        print(f"{'command':<58} {'CPU-s':>6} {'goal':>6}")
        for row in [*_helps(), *_refusals(Path(scratch)), *_readers(Path(scratch), config.root)]:
            _print_row(row, config)
        for row in _complete_runs(Path(scratch), config):
            _print_row(row, config)
    return 0


def _helps() -> Iterator[Row]:
    yield Row("python -c 'import numpy, tyro'", ["-c", "import numpy, tyro"], 0.4)
    for command in (["pbe/train.py"], ["-m", "pbe.edit"], ["-m", "pbe.convert"], ["-m", "pipeline.pairs"]):
        yield Row(f"{' '.join(command)} --help", [*command, "--help"], 1.0)
    for script in ("ray_jobs/verify_shards.py", "ray_jobs/shard_openimages.py", "dashboards/browse.py"):
        yield Row(f"{script} --help", [script, "--help"], 1.0)


def _refusals(scratch: Path) -> Iterator[Row]:
    """Commands with one mistake each."""
    photo = scratch / "photo.png"
    Image.new("RGB", (64, 48)).save(photo)
    out, missing = str(scratch / "refused"), str(scratch / "missing")
    shard = ["ray_jobs/shard_openimages.py", "smoke", "--out", out]
    edit = ["-m", "pbe.edit", "--source", str(photo), "--exemplar", str(photo), "--out", f"{out}.png"]
    yield Row("shard --boxes missing.csv", [*shard, "--boxes", f"{missing}.csv", "--images", str(scratch)], 1.0)
    yield Row("shard --vae ./missing", [*shard, "--vae", missing], 1.0)
    yield Row("shard --resolution 100", [*shard, "--resolution", "100"], 1.0)
    yield Row("shard --draws 0", [*shard, "--draws", "0"], 1.0)
    yield Row(
        "pairs --pairs missing", ["-m", "pipeline.pairs", "--pairs", missing, "--out", out, "--model", "untrained"], 1
    )
    yield Row("edit --model ./missing", [*edit, "--box", "1,1,9,9", "--model", missing], 1.0)
    yield Row("edit --box outside", [*edit, "--box", "100,100,200,200", "--model", missing], 1.0)
    yield Row("convert --model ./missing", ["-m", "pbe.convert", "--model", missing, "--out", out], 1.0)
    yield Row("train --data missing", ["pbe/train.py", "smoke", "--data", missing, "--out", out], 1.0)
    yield Row("verify missing", ["ray_jobs/verify_shards.py", missing], 1.0)
    with serve_s3() as server:
        url = ["--boxes", "s3://bucket/missing.csv", "--images", "s3://bucket/photos"]
        yield Row("shard --boxes s3://bucket/missing.csv", [*shard, *url], 2.0, server.environment)


def _readers(scratch: Path, root: Path) -> Iterator[Row]:
    """Commands that only read a dataset."""
    out = str(scratch / "dataset")
    made = subprocess.run(
        [_python(root), "ray_jobs/shard_openimages.py", "smoke", "--out", out], cwd=root, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    yield Row("verify (its driver)", ["ray_jobs/verify_shards.py", out], 1.2)
    yield Row("verify (its busiest worker)", ["ray_jobs/verify_shards.py", out], 1.2, workers=True)
    yield Row("the feed's index reader", ["-c", INDEX_READER.format(out=out)], 1.2)
    yield Row("shard, dataset complete: 6 records", ["ray_jobs/shard_openimages.py", "smoke", "--out", out], 3.0)


def _complete_runs(scratch: Path, config: StartsConfig) -> Iterator[Row]:
    """The shard job over finished records that are stand-ins, empty but for their names."""
    job = replace(write_photos(scratch / "local", config.records), out=str(scratch / "local/d"))
    yield Row(f"shard, dataset complete: {config.records:,} records", _finish(job), 3.0)
    with serve_s3() as server, _reached(server.environment):
        job = replace(write_photos(scratch / "s3", config.s3_records), out="s3://bucket/d")
        yield Row(
            f"shard, complete on S3: {config.s3_records:,} records", _finish(job, server), 3.0, server.environment
        )


def _finish(config: ShardConfig, server: Proxy | None = None) -> list[str]:
    """Plan a job, write empty records and a manifest; return the command that finds it complete.

    Args:
        server: that holds the bucket of the output; None: it lies on local disk.
    """
    encoders = EncoderFacts(VaeFacts(8, 4, "known"), ClipFacts(64, "known"))
    job = start_job(config)
    assert job.encoders == encoders
    names = [f"units/{unit_name(unit, 0)}.json" for unit in range(job.plan.units)]
    if server is None:
        (Path(job.out.path("units"))).mkdir()
        for name in names:
            Path(job.out.path(name)).touch()
    else:
        server.fill([f"d/{name}" for name in names], b"-")
    manifest = {"schema_version": SCHEMA_VERSION, "draws": config.draws, "recipe": job.recipe}
    job.out.write(MANIFEST, json_bytes({**manifest, "sha256": digest_of(manifest)}))
    remember_encoders(job.out, stamp_encoders(config), encoders)
    return _command(job)


def _command(job: PreparedJob) -> list[str]:
    config = job.config
    flags = ["--boxes", *config.boxes, "--images", *config.images, "--out", config.out, "--resolution", "64"]
    return ["ray_jobs/shard_openimages.py", "smoke", *flags, "--draws", "1", "--photos-per-unit", "1"]


@contextmanager
def _reached(environment: dict[str, str]) -> Iterator[None]:
    """Lead this process's fsspec to a server."""
    fsspec.config.conf["s3"] = json.loads(environment["FSSPEC_S3"])
    os.environ.update(environment)
    yield


def _print_row(row: Row, config: StartsConfig) -> None:
    seconds = min(_measure(row, config.root) for _ in range(config.runs))
    print(f"{row.name:<58} {seconds:>6.2f} {row.goal:>6.1f}{'' if seconds <= row.goal else '  over'}", flush=True)


def _measure(row: Row, root: Path) -> float:
    """Run a command once; its CPU-seconds, or those of the busiest of Ray's workers that ran its tasks."""
    with tempfile.NamedTemporaryFile() as place:
        command = [_python(root), "-c", MEASURED, place.name, *row.command]
        environment = {**os.environ, **(row.environment or {})}
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        busiest = 0.0
        while process.poll() is None:
            if row.workers:
                busiest = max(busiest, _busiest_worker())
            time.sleep(POLL_SECONDS)
        return busiest if row.workers else float(Path(place.name).read_text())


def _busiest_worker() -> float:
    """CPU-seconds of the busiest Ray worker there is now (Linux)."""
    seconds = [0.0]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::" in (folder / "cmdline").read_bytes():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                seconds.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        except OSError:  # it has ended meanwhile
            continue
    return max(seconds)


def _python(root: Path) -> str:
    own = root / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


if __name__ == "__main__":
    sys.exit(main())
