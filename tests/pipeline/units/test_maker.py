import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob, pending_tasks
from pipeline.shards.records import read_records
from pipeline.storage import retries
from pipeline.units.maker import UnitMaker
from schemas.shards import record_path
from tests.pipeline.conftest import problems
from tests.pipeline.overloaded import photos_served
from tests.tagged import read_index

Make = Callable[..., PreparedJob]


def hashes(out: Path, *folders: str) -> dict[str, str]:
    """Hash every file of a dataset outside run/."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    names = {str(path.relative_to(out)): path for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if not name.startswith("run/") and (not folders or name.startswith(folders))
    }


def test_the_same_job_gives_the_same_bytes_on_any_number_of_threads(make: Make, tmp_path: Path) -> None:
    for out, threads in [("one", 1), ("again", 1), ("three", 3)]:
        make(tmp_path / out, threads=threads)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "again") == hashes(tmp_path / "three")


def test_more_draws_add_shards_and_change_none(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "grown", draws=1)
    before = hashes(tmp_path / "grown", "shards/", "index/", "drops/", "units/")
    make(tmp_path / "grown", draws=3)
    make(tmp_path / "whole", draws=3)
    after = hashes(tmp_path / "grown")
    assert before.items() < after.items()
    assert after == hashes(tmp_path / "whole")


def test_a_photo_appears_once_a_shard_and_once_a_draw(make: Make, tmp_path: Path) -> None:
    make(tmp_path, draws=3)
    for draw in range(3):
        rows = [
            row
            for path in (tmp_path / "index").rglob(f"*-d{draw:02d}.parquet")
            for row in pq.read_table(path).to_pylist()
        ]
        assert len({row["image_id"] for row in rows}) == len(rows) == 7


def test_train_and_validation_both_get_a_photo_in_the_default_preset(make: Make, tmp_path: Path) -> None:
    make(tmp_path)
    assert {record.split for record in read_records(make(tmp_path).out)} == {"train", "validation"}


def test_bad_photos_are_drops_of_each_draw_and_their_boxes_are_accounted_for(
    make: Make, sample_folder: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    names = sorted(path.name for path in (sample_folder / "train").iterdir())
    contents = {name: (sample_folder / "train" / name).read_bytes() for name in names}
    contents[names[0]] = contents[names[0]][:5000]
    contents[names[1]] = b"<html>404</html>"
    del contents[names[2]]
    for name, data in contents.items():
        (photos / name).write_bytes(data)
    job = make(tmp_path / "out", images=(str(photos),))
    records = read_records(job.out)
    reasons = {
        (d["reason"], d["draw"]) for p in (tmp_path / "out/drops/units").iterdir() for d in pq.read_table(p).to_pylist()
    }
    assert reasons == {(reason, draw) for reason in ("truncated", "not_an_image", "missing") for draw in (0, 1)}
    assert sum(record.photos_lost for record in records if record.draw == 0) == 3
    assert sum(record.samples for record in records) == 2 * 4


def test_a_unit_without_a_sample_has_a_record_and_no_shard(make: Make, tmp_path: Path) -> None:
    job = make(tmp_path, min_box_px=10_000)
    records = read_records(job.out)
    assert [record.shard for record in records] == [None] * len(records)
    assert all(record.dropped == {"draw/box_too_small": record.planned} for record in records)
    assert not list(tmp_path.rglob("*.tar"))


def test_a_passing_fault_leaves_no_record(
    make: Make, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    job = make(tmp_path / "whole")
    overloaded = sorted(path.name for path in (sample_folder / "train").iterdir())[0]
    with photos_served(sample_folder, overloaded=overloaded) as url, pytest.raises(OSError):
        make(tmp_path / "out", images=(f"{url}/train",))
    stem = overloaded.partition(".")[0]
    broken = [r for r in read_records(job.out) if any(stem in str(row) for row in _keys(tmp_path / "whole", r.unit))]
    finished = {path.name for path in (tmp_path / "out/units").glob("*")}
    assert broken
    assert not any(name.startswith(f"{broken[0].unit:06d}") for name in finished)
    assert not list((tmp_path / "out/run/tmp").iterdir())


def _keys(out: Path, unit: int) -> list[str]:
    return [
        key for path in out.glob(f"index/*/{unit:06d}-d00.parquet") for key in pq.read_table(path)["key"].to_pylist()
    ]


def copy_photos(sample_folder: Path, folder: Path) -> list[Path]:
    """Copy the sample photos, to take away and put back; their paths."""
    shutil.copytree(sample_folder / "train", folder)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("first", [(0,), (1,)], ids=["later", "earlier"])
def test_a_photo_that_one_draw_lost_stays_lost_in_the_others(
    make: Make, sample_folder: Path, tmp_path: Path, first: tuple[int, ...]
) -> None:
    back = copy_photos(sample_folder, tmp_path / "photos")[0]
    data = back.read_bytes()
    back.unlink()
    images = (str(tmp_path / "photos"),)
    job = make(tmp_path / "out", images=images, draws=2, finish=False)
    for record in read_records(job.out):
        if record.draw not in first:
            job.out.remove(record_path(record.unit, record.draw))
    back.write_bytes(data)
    job = make(tmp_path / "out", images=images, draws=3)
    assert {record.photos_lost for record in read_records(job.out)} == {0, 1}
    assert sum(record.samples for record in read_records(job.out)) == 3 * 6


FATES: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda photo: photo.unlink(), r"\(missing\)"),
    "cut": (lambda photo: photo.write_bytes(photo.read_bytes()[:5000]), r"\(truncated: .*\)"),
    "another": (lambda photo: photo.write_bytes(photo.read_bytes() + b"0"), r"\(other bytes\)"),
}


@pytest.mark.heavy
@pytest.mark.parametrize("fate", FATES)
def test_a_photo_that_finished_draws_hold_must_be_there_as_it_was_for_the_others(
    make: Make, sample_folder: Path, tmp_path: Path, fate: str
) -> None:
    photo = copy_photos(sample_folder, tmp_path / "photos")[0]
    change, why = FATES[fate]
    data = photo.read_bytes()
    images = (str(tmp_path / "photos"),)
    job = make(tmp_path / "out", images=images, draws=1)
    change(photo)
    with pytest.raises(InputError, match=rf"photo {photo.stem} is not what it was {why}.*remove units/\d+-d\*\.json"):
        make(tmp_path / "out", images=images, draws=2)
    units = {record.unit for record in read_records(job.out) if record.draw == 1}
    assert len(units) < 3
    photo.write_bytes(data)
    make(tmp_path / "out", images=images, draws=2)
    make(tmp_path / "whole", draws=2)
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


def test_a_unit_begun_again_after_its_first_record_keeps_to_the_photos_of_that(
    make: Make, maker_of: Callable[..., UnitMaker], sample_folder: Path, tmp_path: Path
) -> None:
    photos = copy_photos(sample_folder, tmp_path / "photos")
    changes = {"images": (str(tmp_path / "photos"),), "photos_per_unit": 9, "split_shares": (1.0, 0.0, 0.0)}
    job = make(tmp_path / "out", finish=False, **changes)
    job.out.remove("units/000000-d01.json")  # its actor died
    photos[0].unlink()
    [task] = pending_tasks(replace(job, finished=frozenset()))[0]
    with pytest.raises(InputError, match=r"is not what it was \(missing\)"):
        maker_of(job).make(task)


def test_a_unit_that_a_killed_job_began_and_that_gives_no_sample_any_more_leaves_no_shard(
    make: Make, sample_folder: Path, tmp_path: Path
) -> None:
    copy_photos(sample_folder, tmp_path / "photos")
    changes = {"images": (str(tmp_path / "photos"),), "draws": 1, "photos_per_unit": 1}
    job = make(tmp_path / "out", finish=False, **changes)
    job.out.remove("units/000000-d00.json")  # as if killed before it
    photo = next(row["image_id"] for row in read_index(tmp_path / "out") if row["unit"] == 0)
    (tmp_path / f"photos/{photo}.jpg").write_bytes(b"")
    make(tmp_path / "out", **changes)
    assert problems(tmp_path / "out") == []
