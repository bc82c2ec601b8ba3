"""What verify says of sound datasets, and of those that its advice repaired."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.jobs.preparation import PreparedJob
from pipeline.storage.folder import Folder
from pipeline.verification.problems import describe_remedy
from tests.object_storage import Proxy
from tests.pipeline.conftest import change_byte, files_of, find_problems, finish_with_pictures, problems

Make = Callable[..., PreparedJob]


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
    first, second, *_ = sorted(photos.iterdir())
    first.write_bytes(b"<html>404</html>")
    make(tmp_path / "d", images=(str(photos),), draws=1)
    assert problems(tmp_path / "d") == []
    second.unlink()
    make(tmp_path / "d", images=(str(photos),), draws=3)
    assert problems(tmp_path / "d") == []


def test_the_name_and_place_of_a_dataset_do_not_matter(dataset: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(dataset, tmp_path / "a [b] *? c%20d"))
    (tmp_path / "link").symlink_to(odd, target_is_directory=True)
    assert problems(odd) == problems(tmp_path / "link") == problems(f"{odd}/") == problems(f"file://{dataset}") == []


def test_a_dataset_on_object_storage_is_verified_like_a_local_one(make: Make, s3: Proxy) -> None:
    out = Folder("s3://bucket/a/dataset")
    make(out.url)
    assert problems(out.url) == []
    out.remove("index/train/000000-d00.parquet")
    out.write("stray", b"")
    out.write("card.md", b"# Another")
    damaged = {"index/train/000000-d00.parquet", "stray", "card.md"}
    assert {problem.file for problem in find_problems(out.url)} == damaged
