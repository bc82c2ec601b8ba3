"""A job with a list of denied boxes: what it makes, goes on with, and refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from tests.pipeline.conftest import problems
from tests.tagged import read_index, write_tagged

Make = Callable[..., PreparedJob]


@pytest.fixture
def denied(make: Make, tmp_path: Path) -> tuple[Path, dict[str, Any], str]:
    """A list that denies the box of one sample and the photo of another; the sample and the photo's id."""
    make(tmp_path / "free")
    first, *others = read_index(tmp_path / "free")
    photo = next(row["image_id"] for row in others if row["image_id"] != first["image_id"])
    write_tagged(tmp_path / "tagged.csv", [first, {"image_id": photo}])
    return tmp_path / "tagged.csv", first, photo


def test_denied_boxes_leave_a_dataset_whose_sums_hold(
    make: Make, tmp_path: Path, denied: tuple[Path, dict[str, Any], str]
) -> None:
    path, box, photo = denied
    job = make(tmp_path / "d", deny=str(path), draws=4)
    left = {(row["image_id"], row["box_id"]) for row in read_index(tmp_path / "d")}
    assert left and (box["image_id"], box["box_id"]) not in left and photo not in {image_id for image_id, _ in left}
    assert problems(tmp_path / "d") == []
    free, manifest = (read_manifest(Folder(str(tmp_path / name))) for name in ("free", "d"))
    taken = manifest["totals"]["filtered"]["denied"]
    assert taken >= 2 and manifest["totals"]["boxes_kept"] == free["totals"]["boxes_kept"] - taken
    assert manifest["recipe"]["filters"] == [*free["recipe"]["filters"], job.recipe["filters"][-1]]
    assert job.recipe["filters"][-1].startswith("denied=")


def test_a_run_goes_on_with_the_same_list_wherever_it_lies_and_with_no_other(
    make: Make, tmp_path: Path, denied: tuple[Path, dict[str, Any], str]
) -> None:
    path, _, photo = denied
    job = make(tmp_path / "d", deny=str(path), draws=1, finish=False)
    made = {shard: shard.stat().st_mtime_ns for shard in (tmp_path / "d/shards").rglob("*.tar")}
    plan = (tmp_path / "d/run/plan/units.parquet").stat().st_mtime_ns
    moved = path.rename(tmp_path / "moved.csv")
    assert make(tmp_path / "d", deny=str(moved), draws=1).recipe == job.recipe
    assert {shard: shard.stat().st_mtime_ns for shard in made} == made
    assert (tmp_path / "d/run/plan/units.parquet").stat().st_mtime_ns == plan
    write_tagged(moved, [{"image_id": photo}])
    with pytest.raises(InputError, match=r'filters: .*"denied=\w{64}"\] there, .*"denied=\w{64}"\] now'):
        make(tmp_path / "d", deny=str(moved), draws=1)
    with pytest.raises(InputError, match=r'filters: .*"denied=\w{64}"\] there, \["area=0.02:0.8"\] now'):
        make(tmp_path / "d", draws=1)


def test_a_list_that_denies_every_box_is_refused(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "free")
    rows = read_index(tmp_path / "free")
    write_tagged(tmp_path / "tagged.csv", [{"image_id": image_id} for image_id in {row["image_id"] for row in rows}])
    with pytest.raises(InputError, match=r"--filters area=0.02:0.8 and --deny: keep none of the"):
        make(tmp_path / "d", deny=str(tmp_path / "tagged.csv"))
