"""Resume: how long the shard job takes from its flags to its first unit where almost all units are finished.

    python -m tests.benchmarks.resume [--records 100000]

Imports and Ray are not counted. The bound beside it is one listing of the folder of records.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from PIL import Image

from pipeline.config import PRESETS, ShardConfig
from pipeline.encoders.facts import ClipFacts, EncoderFacts, VaeFacts
from pipeline.jobs.inputs import check_inputs
from pipeline.jobs.preparation import PreparedJob, pending_tasks, prepare
from pipeline.storage.folder import Folder
from schemas.shards import unit_name


@dataclass(frozen=True)
class ResumeConfig:
    """Time the start of a job over finished work."""

    records: int = 100_000
    """Units that are finished; one more is not."""


def write_photos(folder: Path, count: int) -> ShardConfig:
    """Lay out a job of so many photos, one a unit; all are links to one file."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(folder / "photo.jpg")
    names = [f"{number:08x}" for number in range(count)]
    originals = [folder / f"photo-{part}.jpg" for part in range(-(-count // 10_000))]  # links to one file are limited
    for original in originals:
        original.write_bytes((folder / "photo.jpg").read_bytes())
    for number, name in enumerate(names):
        (photos / f"{name}.jpg").hardlink_to(originals[number // 10_000])
    rows = "".join(f"{name},/m/a,0.2,0.8,0.2,0.8\n" for name in names)
    (folder / "boxes.csv").write_text("ImageID,LabelName,XMin,XMax,YMin,YMax\n" + rows)
    inputs = {"boxes": (str(folder / "boxes.csv"),), "images": (str(photos),)}
    return replace(PRESETS["smoke"], **inputs, resolution=64, draws=1, photos_per_unit=1)


def start_job(config: ShardConfig) -> PreparedJob:
    """Do all that a job does before its first unit."""
    encoders = EncoderFacts(VaeFacts(8, 4, "known"), ClipFacts(64, "known"))
    quiet = {"say": lambda line: None, "progress": lambda rows: None}
    return prepare(check_inputs(config), Folder(config.out), device="cpu", encoders=encoders, **quiet)


def main() -> int:
    """Measure once; the start is long against the noise of a clock."""
    config = tyro.cli(ResumeConfig, description=ResumeConfig.__doc__)
    with tempfile.TemporaryDirectory(prefix="resume-") as scratch:
        job = replace(write_photos(Path(scratch), config.records + 1), out=f"{scratch}/d")
        start_job(job)
        units = Path(job.out) / "units"
        units.mkdir()
        for unit in range(config.records):
            (units / f"{unit_name(unit, 0)}.json").touch()
        began = time.perf_counter()
        Folder(job.out).names("units")
        listing = time.perf_counter() - began
        began = time.perf_counter()
        tasks, done = pending_tasks(start_job(job))
        seconds = time.perf_counter() - began
    assert (len(tasks), done) == (1, config.records)
    print(f"{done:,} finished records: {seconds:.1f} s to the first unit; one listing {listing:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
