"""The unseen photos: those that the small model's pictures leave out, and no other."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.small_model.photos import PhotosConfig, find_photos
from examples.small_model.unseen import main

Coco = Callable[..., Path]


def test_a_photo_is_unseen_where_it_is_not_trained_on(coco: Coco, tmp_path: Path) -> None:
    folder = coco("coco", {"a": "4", "b": "1", "c": "7", "d": "", "e": "5"})
    assert main(["--coco", str(folder), "--out", str(tmp_path / "out")]) == 0
    unseen = {path.stem for path in (tmp_path / "out/train").iterdir()}
    trained = {photo.key for photo in find_photos(PhotosConfig(out="", coco=str(folder)))}
    assert unseen == {"b", "d", "e"} and trained == {"a", "c"}
    with (tmp_path / "out/train-annotations-bbox.csv").open(newline="") as file:
        assert [row["ImageID"] for row in csv.DictReader(file)] == ["b", "b", "d", "d", "e", "e"]
    assert (tmp_path / "out/class-descriptions-boxable.csv").read_text() == "/m/01,Cat\n"


@pytest.mark.parametrize(
    ("gone", "said"),
    [("sources.csv", "holds no sources.csv"), ("train/b.jpg", "lacks 1 photos of sources.csv, such as train/b.jpg")],
)
def test_a_folder_that_lacks_something_is_refused_by_name(
    coco: Coco, tmp_path: Path, gone: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = coco("coco", {"a": "4", "b": "1"})
    (folder / gone).unlink()
    assert main(["--coco", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_folder_of_which_every_photo_is_trained_on_is_refused(
    coco: Coco, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = coco("coco", {"a": "4"})
    assert main(["--coco", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "may be trained on" in capsys.readouterr().err


def test_the_folder_that_is_read_is_not_written_to(
    coco: Coco, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = coco("coco", {"a": "4", "b": "1"})
    (tmp_path / "link").symlink_to(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    assert main(["--coco", str(folder), "--out", str(tmp_path / "link")]) == 2
    assert "is the folder of --coco itself" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
