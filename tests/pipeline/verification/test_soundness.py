"""What verify says of sound datasets, and of those that its advice repaired."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.manifest import finish_dataset
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.verification.problems import describe_remedy
from tests.object_storage import Proxy
from tests.pipeline.conftest import change_byte, files_of, find_problems, finish_with_pictures, problems

Make = Callable[..., PreparedJob]


@pytest.mark.heavy
def test_the_advice_names_what_to_remove_and_doing_so_repairs_the_dataset(make: Make, dataset: Path) -> None:
    sound = {name: (dataset / name).read_bytes() for name in files_of(dataset)}
    change_byte(dataset / "shards/train/000000-d01.tar", 0.5, 0)
    change_byte(dataset / "drops/boxes-00000.parquet", 0.5, 0)
    (dataset / "units/000001-d00.json").unlink()
    (dataset / "card.md").unlink()
    (dataset / "stray").write_bytes(b"")
    found = find_problems(dataset)
    names = sorted({name for problem in found for name in problem.remove})
    assert names == ["manifest.json", "run/plan", "stray", "units/000000-d01.json"]
    assert f"remove {' '.join(names)}, then run the command that made it again" in describe_remedy(found)
    for name in names:
        Folder(str(dataset)).remove(name)
    finish_with_pictures(make(dataset, finish=False))
    assert problems(dataset) == []
    assert {name: (dataset / name).read_bytes() for name in files_of(dataset)} == sound


def test_shards_of_an_unfinished_run_with_more_draws_are_told_apart(make: Make, dataset: Path) -> None:
    make(dataset, draws=3, finish=False)
    found = find_problems(dataset)
    assert found
    assert all("-d02." in problem.file and "unfinished run with more than 2 draws" in problem.what for problem in found)
    assert not any(problem.remove for problem in found)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "changes",
    [
        {"draws": 3},
        {"keep_source": False},
        {"min_box_px": 10_000},
        {"limit": 2},
        {"filters": ("clean",), "photos_per_unit": 1},
        {"resolution": 96, "boxes_frame": "exif", "long_boxes": "drop", "min_photo_px": 500},
    ],
)
def test_no_sound_dataset_gives_a_false_alarm(make: Make, tmp_path: Path, changes: dict[str, object]) -> None:
    make(tmp_path, **changes)
    assert problems(tmp_path) == []


def test_a_dataset_with_lost_photos_and_later_draws_gives_no_false_alarm(
    make: Make, sample_folder: Path, tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(sample_folder / "train", tmp_path / "photos"))
    sorted(photos.iterdir())[0].write_bytes(b"<html>404</html>")
    for draws in (1, 3):
        make(tmp_path / "d", images=(str(photos),), draws=draws)
        assert problems(tmp_path / "d") == []


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "lost": (lambda photo: photo.unlink(), "is lost in some draws and there in others"),
    "another": (lambda photo: photo.write_bytes(photo.read_bytes() + b"0"), "has other bytes in some draws"),
}


@pytest.mark.heavy
@pytest.mark.parametrize("change", CHANGES)
def test_draws_of_a_unit_that_are_not_of_the_same_photos_are_found_and_the_advice_repairs_them(
    make: Make, sample_folder: Path, tmp_path: Path, change: str
) -> None:
    act, told = CHANGES[change]
    photos = Path(shutil.copytree(sample_folder / "train", tmp_path / "photos"))
    photo = sorted(photos.iterdir())[0]
    make(tmp_path / "whole")
    act(photo)
    make(tmp_path / "other", images=(str(photos),))
    d = Path(shutil.copytree(tmp_path / "whole", tmp_path / "d"))
    for path in (tmp_path / "other").rglob("*-d01.*"):
        shutil.copyfile(path, d / path.relative_to(tmp_path / "other"))
    job = make(d, finish=False)
    records = read_records(job.out)
    totals_hold = {"recipe": job.recipe, "plan": job.plan, "draws": 2, "names": job.names}
    finish_dataset(job.out, records, **totals_hold)
    found = find_problems(d)
    assert any(photo.stem in problem.what and told in problem.what for problem in found)
    [names] = {problem.remove for problem in found}
    assert len(names) == 2 and {name[-8:] for name in names} == {"d00.json", "d01.json"}
    for name in names:
        job.out.remove(name)
    make(d)
    assert problems(d) == []
    assert {name: (d / name).read_bytes() for name in files_of(d)} == {
        name: (tmp_path / "whole" / name).read_bytes() for name in files_of(tmp_path / "whole")
    }


def test_the_name_and_place_of_a_dataset_do_not_matter(dataset: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(dataset, tmp_path / "a [b] *? c%20d"))
    (tmp_path / "link").symlink_to(odd, target_is_directory=True)
    assert problems(odd) == problems(tmp_path / "link") == problems(f"{odd}/") == problems(f"file://{dataset}") == []
    (odd / "shards").rename(tmp_path / "bigger disk")
    (odd / "shards").symlink_to(tmp_path / "bigger disk")
    assert problems(odd) == []


def test_a_dataset_on_object_storage_is_verified_like_a_local_one(make: Make, s3: Proxy) -> None:
    out = Folder("s3://bucket/a/dataset")
    make(out.url)
    assert problems(out.url) == []
    out.remove("index/train/000000-d00.parquet")
    out.write("stray", b"")
    out.write("card.md", b"# Another")
    damaged = {"index/train/000000-d00.parquet", "stray", "card.md"}
    assert {problem.file for problem in find_problems(out.url)} == damaged
