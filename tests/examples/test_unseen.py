"""The unseen photos: those that the small model's pictures leave out, and no other."""

import csv
from pathlib import Path

import pytest

from examples.small_model.photos import PhotosConfig, find_photos
from examples.small_model.unseen import main

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax"


def write_coco(folder: Path, licences: dict[str, str]) -> Path:
    """A folder of COCO's form with a photo of each licence; the photos' bytes are their names."""
    (folder / "train").mkdir(parents=True)
    for key in licences:
        (folder / f"train/{key}.jpg").write_text(key)
    lines = [f"{key},{licence}" for key, licence in licences.items()]
    (folder / "sources.csv").write_text("\n".join(["ImageID,CocoLicenseId", *lines]) + "\n")
    boxes = [f"{key},xclick,/m/01,1,0,{share},0,1" for key in licences for share in (0.25, 0.5)]
    (folder / "train-annotations-bbox.csv").write_text("\n".join([HEADER, *boxes]) + "\n")
    (folder / "class-descriptions-boxable.csv").write_text("/m/01,Cat\n")
    return folder


def test_a_photo_is_unseen_where_it_is_not_trained_on(tmp_path: Path) -> None:
    coco = write_coco(tmp_path / "coco", {"a": "4", "b": "1", "c": "7", "d": "", "e": "5"})
    assert main(["--coco", str(coco), "--out", str(tmp_path / "out")]) == 0
    unseen = {path.stem for path in (tmp_path / "out/train").iterdir()}
    trained = {photo.key for photo in find_photos(PhotosConfig(out="", coco=str(coco)))}
    assert unseen == {"b", "d", "e"} and trained == {"a", "c"}
    with (tmp_path / "out/train-annotations-bbox.csv").open(newline="") as file:
        assert [row["ImageID"] for row in csv.DictReader(file)] == ["b", "b", "d", "d", "e", "e"]
    assert (tmp_path / "out/class-descriptions-boxable.csv").read_text() == "/m/01,Cat\n"


@pytest.mark.parametrize(
    ("gone", "said"),
    [("sources.csv", "holds no sources.csv"), ("train/b.jpg", "lacks 1 photos of sources.csv, such as train/b.jpg")],
)
def test_a_folder_that_lacks_something_is_refused_by_name(
    tmp_path: Path, gone: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    coco = write_coco(tmp_path / "coco", {"a": "4", "b": "1"})
    (coco / gone).unlink()
    assert main(["--coco", str(coco), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_folder_of_which_every_photo_is_trained_on_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coco = write_coco(tmp_path / "coco", {"a": "4"})
    assert main(["--coco", str(coco), "--out", str(tmp_path / "out")]) == 2
    assert "may be trained on" in capsys.readouterr().err
