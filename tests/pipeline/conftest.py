"""A sound dataset to break, and all that verify says of it."""

import shutil
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.pictures.funnel import write_funnel
from pipeline.pictures.overview import write_overview
from pipeline.shards.manifest import finish_dataset, read_manifest
from pipeline.shards.records import read_records
from pipeline.shards.totals import count_totals
from pipeline.storage.folder import Folder
from pipeline.verification.dataset import list_files, verify_dataset
from pipeline.verification.problems import Problem
from pipeline.verification.units import verify_unit

Make = Callable[..., PreparedJob]


def find_problems(dataset: Path | str) -> list[Problem]:
    """All that the verify job does, without Ray."""
    out = Folder(str(dataset))
    manifest = read_manifest(out)
    records, found = verify_dataset(out, manifest, list_files(out))
    for _, unit in groupby(records, key=lambda record: record.unit):
        found += verify_unit(out, list(unit), recipe=manifest["recipe"])
    return found


def problems(dataset: Path | str) -> list[str]:
    try:
        return [str(problem) for problem in find_problems(dataset)]
    except InputError as error:
        return [str(error)]


def finish_with_pictures(job: PreparedJob) -> None:
    """End a dataset as the shard job does."""
    records, draws = read_records(job.out), job.config.draws
    write_overview(job.out, records, seed=job.config.seed)
    write_funnel(job.out, count_totals(job.plan, records, draws))
    finish_dataset(job.out, records, recipe=job.recipe, plan=job.plan, draws=draws, names=job.names)


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dataset")


@pytest.fixture
def dataset(make: Make, _shared: Path, tmp_path: Path) -> Path:
    """A sound dataset of one's own to break."""
    if not (_shared / "manifest.json").exists():
        finish_with_pictures(make(_shared, finish=False))
    return Path(shutil.copytree(_shared, tmp_path / "copy"))


def files_of(dataset: Path) -> list[str]:
    """All files outside run/."""
    names = sorted(str(path.relative_to(dataset)) for path in dataset.rglob("*") if path.is_file())
    return [name for name in names if not name.startswith("run/")]


def change_byte(path: Path, place: float, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
