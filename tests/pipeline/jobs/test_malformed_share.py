"""Tables of whose rows too many are malformed, and tables given twice: refused before anything changes."""

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from tests.making import Make
from tests.pipeline.conftest import files_of, problems

BOXES_TABLE = "train-annotations-bbox.csv"


@pytest.fixture
def swapped(sample_folder: Path, tmp_path: Path) -> Path:
    """The table of the sample photos whose header names XMax and YMin in each other's place."""
    text = (sample_folder / BOXES_TABLE).read_text()
    header, rest = text.split("\n", 1)
    assert "XMin,XMax,YMin,YMax" in header
    path = tmp_path / "swapped.csv"
    path.write_text(header.replace("XMin,XMax,YMin,YMax", "XMin,YMin,XMax,YMax") + "\n" + rest)
    return path


def test_too_many_malformed_rows_are_refused_with_lines_and_cause_and_leave_the_older_work(
    make: Make, tmp_path: Path, swapped: Path
) -> None:
    out = tmp_path / "d"
    make(out)
    before = {name: (out / name).read_bytes() for name in [*files_of(out), "run/plan/key", "run/plan/plan.json"]}
    with pytest.raises(InputError) as refusal:
        make(out, boxes=(str(swapped),), overwrite=True)
    said = str(refusal.value)
    assert re.search(
        r"--boxes: \d+ of \d+ rows are malformed \(empty_box \d+\), more than --max-malformed 0.05; ", said
    )
    assert re.search(r"swapped.csv: line \d+: column .Max: the box is empty.*; line \d+: .*; line \d+: ", said)
    assert "likely cause: columns in another order: XMin,YMin,XMax,YMax hold XMin,XMax,YMin,YMax; correct" in said
    assert {name: (out / name).read_bytes() for name in before} == before
    job = make(tmp_path / "e", boxes=(str(swapped),), max_malformed=1.0, filters=(), max_photo_failures=1.0)
    assert sum(job.plan.malformed.values()) > 0.05 * job.plan.rows
    assert "max_malformed" not in job.recipe and problems(tmp_path / "e") == []


def test_the_share_of_malformed_rows_is_no_part_of_the_recipe(make: Make, tmp_path: Path) -> None:
    first = make(tmp_path / "d", max_malformed=0.0, draws=1)
    assert make(tmp_path / "d", max_malformed=0.7, draws=2).recipe == first.recipe


def test_a_table_given_in_two_forms_is_refused_naming_boxes(make: Make, sample_folder: Path, tmp_path: Path) -> None:
    table = sample_folder / BOXES_TABLE
    (tmp_path / "again.csv").write_bytes(table.read_bytes() + b"\n")
    with pytest.raises(InputError, match=r"\(duplicate \d+\).*; photo \w{16}, box \d+: LabelName=/m/.*the same table"):
        make(tmp_path / "d", boxes=(str(table), str(tmp_path / "again.csv")))


@pytest.mark.parametrize("flag", ["boxes", "image_info"])
def test_a_browsers_copy_is_refused_naming_both(make: Make, sample_folder: Path, tmp_path: Path, flag: str) -> None:
    table = sample_folder / (BOXES_TABLE if flag == "boxes" else "train-images-boxable-with-rotation.csv")
    copy = Path(shutil.copy(table, tmp_path / "train (1).csv"))
    with pytest.raises(InputError) as refusal:
        make(tmp_path / "d", **{flag: (str(table), str(copy))})
    name = f"--{flag.replace('_', '-')}"
    assert f"{name} {copy}: holds the same bytes as {table}; give one of them" in str(refusal.value)


def test_tables_are_judged_before_photos_are_and_these_before_an_older_plan_is_removed(
    make: Make, tmp_path: Path, sample_folder: Path, swapped: Path
) -> None:
    photos = Path(shutil.copytree(sample_folder / "train", tmp_path / "photos"))
    out = tmp_path / "d"
    make(out, images=(str(photos),))
    before = {name: (out / name).read_bytes() for name in [*files_of(out), "run/plan/key", "run/plan/plan.json"]}
    for photo in list(photos.iterdir()):
        (photos / photo.name).with_suffix(".PNG").write_bytes(photo.read_bytes()[:-1] + b"0")
    for table, message in ((swapped, "rows are malformed"), (sample_folder / BOXES_TABLE, "7 photos lie in several")):
        with pytest.raises(InputError, match=message):
            make(out, images=(str(photos),), boxes=(str(table),), seed=1, overwrite=True)
        assert {name: (out / name).read_bytes() for name in before} == before


def test_a_table_of_no_rows_is_no_fault_of_the_filters(make: Make, tmp_path: Path) -> None:
    sides = dict.fromkeys(("XMin", "XMax", "YMin", "YMax"), pa.array([], pa.float64()))
    pq.write_table(
        pa.table({"ImageID": pa.array([], pa.string()), "LabelName": [], **sides}), tmp_path / "none.parquet"
    )
    with pytest.raises(InputError, match=r"--boxes .*none.parquet: no rows; give a table with boxes"):
        make(tmp_path / "d", boxes=(str(tmp_path / "none.parquet"),))
