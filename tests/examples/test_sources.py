"""The free photos: told to be free, by licences that are theirs, and by names that lead nowhere else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from examples.small_model import photos, unseen
from examples.small_model.photos import PhotosConfig, find_photos
from examples.small_model.sources import read_licences
from pipeline.errors import InputError

Coco = Callable[..., Path]


def add_line(table: Path, line: str) -> None:
    table.write_text(f"{table.read_text()}{line}\n")


def test_wallpapers_bring_their_licence_and_whose_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "usr/share/doc/lomiri-wallpapers-16.04"
    folder.mkdir(parents=True)
    entry = "Files: 16.04/{}.jpg\nCopyright: {}, 2018\nLicense: {}\n\n"
    text = entry.format("sea", "A. Sailor", "CC-BY-4.0") + entry.format("hill", "B. Walker", "CC-BY-SA-4.0")
    (folder / "copyright").write_text(f"Upstream-Name: lomiri-wallpapers\n\n{text}License: CC-BY-4.0\n  Its text.\n")
    assert read_licences(tmp_path) == {
        "sea.jpg": ("CC-BY-4.0", "A. Sailor, 2018"),
        "hill.jpg": ("CC-BY-SA-4.0", "B. Walker, 2018"),
    }


def test_a_wallpaper_of_whose_name_there_are_two_licences_is_not_free(tmp_path: Path) -> None:
    for package, licence in (("one", "CC-BY-SA-4.0"), ("two", "CC0-1.0"), ("three", "CC0-1.0")):
        _write_package(tmp_path / package, f"Files: {package}/sea.jpg\nCopyright: A\nLicense: {licence}\n\n")
    _write_package(tmp_path / "four", "Files: hill.jpg\nCopyright: B\nLicense: CC0-1.0\n")
    assert [photo.path.name for photo in find_photos(PhotosConfig(out="", wallpapers=str(tmp_path)))] == ["hill.jpg"]


def test_a_paragraph_takes_neither_holder_nor_licence_of_another(tmp_path: Path) -> None:
    text = "Files: a.jpg\nCopyright: A\nLicense: CC0-1.0\n\nFiles: b.jpg\nLicense: CC-BY-4.0\n\nFiles: c.jpg\n\n"
    _write_package(tmp_path / "one", f"{text}License: CC0-1.0\n Its text.\n")
    assert read_licences(tmp_path) == {"a.jpg": ("CC0-1.0", "A"), "b.jpg": ("CC-BY-4.0", "")}


def test_a_photo_that_is_listed_with_two_licences_is_not_free_and_so_unseen(coco: Coco, tmp_path: Path) -> None:
    folder = coco("coco", {"a": "4", "b": "4"})
    for line in ("a,1", "a,4"):
        add_line(folder / "sources.csv", line)
    assert [photo.key for photo in find_photos(PhotosConfig(out="", coco=str(folder)))] == ["b"]
    assert unseen.main(["--coco", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out/train").iterdir()] == ["a.jpg"]


def test_photos_of_coco_are_not_taken_for_those_of_open_images(coco: Coco) -> None:
    folder = coco("coco", {"a": "1"})
    with pytest.raises(InputError, match=r"--openimages .*give it with --coco"):
        list(find_photos(PhotosConfig(out="", openimages=str(folder))))


@pytest.mark.parametrize(("table", "rest"), [("sources.csv", ",4"), ("train-annotations-bbox.csv", ",s,l,1,0,1,0,1")])
@pytest.mark.parametrize("key", ["../b", "", "/etc/b", "a\x07"])
def test_a_name_that_leads_out_of_the_folder_is_refused_by_both_commands(
    coco: Coco, tmp_path: Path, table: str, rest: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = coco("coco", {"a": "4", "b": "1"})
    add_line(folder / table, f"{key}{rest}")
    for command in (photos, unseen):
        assert command.main(["--coco", str(folder), "--out", str(tmp_path / "out")]) == 2
        assert f"--coco {folder / table}, line " in (err := capsys.readouterr().err) and "names no photo" in err
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]


@pytest.mark.parametrize("row", ["a", "a,s,l,1,0,1,0,1,9", "a,s,l,1,,1,0,1", "a,s,l,1,nan,1,0,1"])
def test_a_row_that_is_no_box_is_refused(coco: Coco, row: str) -> None:
    folder = coco("coco", {"a": "4"})
    add_line(folder / "train-annotations-bbox.csv", row)
    with pytest.raises(InputError, match=r"--coco .*train-annotations-bbox\.csv.*mend it$"):
        list(find_photos(PhotosConfig(out="", coco=str(folder))))


@pytest.mark.parametrize("header", ["", "id,CocoLicenseId", "ImageID,Licence"])
def test_a_table_without_its_columns_is_refused(coco: Coco, header: str) -> None:
    folder = coco("coco", {"a": "4"})
    (folder / "sources.csv").write_text(f"{header}\na,4\n")
    with pytest.raises(InputError, match="has no column"):
        list(find_photos(PhotosConfig(out="", coco=str(folder))))


def _write_package(root: Path, copyrights: str) -> None:
    """An unpacked Debian package: its copyright file, and an empty file for each photo that it names."""
    name = root.name
    (root / f"usr/share/doc/{name}").mkdir(parents=True)
    (root / f"usr/share/doc/{name}/copyright").write_text(copyrights)
    (root / "usr/share/backgrounds").mkdir()
    for line in copyrights.splitlines():
        if line.startswith("Files: "):
            (root / "usr/share/backgrounds" / line.rpartition("/")[2].removeprefix("Files: ")).touch()
