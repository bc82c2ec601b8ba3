import csv
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.photos.sample_photos import BOXES_TABLE, CLASSES_TABLE, INFO_TABLE, PHOTOS, write_openimages_folder
from pipeline.storage.folder import Folder


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_sample_photo_has_boxes_of_named_classes_and_a_licence(sample_folder: Path) -> None:
    boxes, info, classes = (read(sample_folder, name) for name in (BOXES_TABLE, INFO_TABLE, CLASSES_TABLE))
    assert {row["ImageID"] for row in boxes} == {row["ImageID"] for row in info} == PHOTOS.keys()
    assert {row["LabelName"] for row in boxes} == {row["LabelName"] for row in classes}
    for row in info:
        assert row["License"].startswith("https://") and row["Author"]
        assert int(row["OriginalSize"]) == (sample_folder / "train" / f"{row['ImageID']}.jpg").stat().st_size


def test_laying_the_photos_out_again_touches_no_file(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    folder = Path(write_openimages_folder(out).url)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert write_openimages_folder(out).url == str(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert sum(path.is_file() for path in before) == len(PHOTOS) + 3


@pytest.mark.processes
def test_the_packages_that_hold_the_photos_are_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.photos.sample_photos import write_openimages_folder as write;"
        "from pipeline.storage.folder import Folder; write(Folder(sys.argv[1]));"
        "sys.exit(' '.join({'skimage', 'sklearn'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
