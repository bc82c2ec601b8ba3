"""The dropped view's numbers: every row of the tables has one fate, and their counts are the manifest's."""

import csv
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.box_rows import BoxRows, read_box_rows
from dashboards.fates import DRAW_DROPPED, DRAWN, LOST, UNREACHED, Fates, differences, find_fates
from dashboards.rows import open_rows
from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.recorded_inputs import find_inputs
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from schemas.boxes import COORDINATE_COLUMNS

Make = Callable[..., PreparedJob]
HEADER = ("ImageID", "LabelName", *COORDINATE_COLUMNS)


def _write_table(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


@pytest.fixture
def hostile(sample_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The sample photos, one cut short and one missing, and a table with rows of every kind, photos interleaved."""
    photos = Path(shutil.copytree(sample_folder / "train", tmp_path / "photos"))
    ids = sorted(path.stem for path in photos.iterdir())
    short = photos / f"{ids[1]}.jpg"
    short.write_bytes(short.read_bytes()[:5000])
    rows = []
    for round_ in range(4):
        for image_id in ids:
            rows.append((image_id, "/m/0", 0.1, 0.1 + 0.05 * round_, 0.8, 0.9))
    rows += [("never-there", "/m/0", 0.1, 0.1, 0.7, 0.7), (ids[2], "/m/1", 0, 0, 0.01, 0.01)]
    rows += [("", "/m/0", 0, 0, 1, 1), (ids[3], "/m/0", "x", 0, 1, 1), (ids[3], "", 0, 0, 1, 1), (ids[0], "/m/0", 0)]
    rows += [("only-small", "/m/0", 0, 0, 0.01, 0.01), (ids[4], "/m/0", 0.2, 0.2, 0.25, 0.9)]
    rows += [rows[-1]]  # a duplicate
    table = _write_table(tmp_path / "boxes.csv", rows)
    return {
        "boxes": (str(table),),
        "images": (str(photos),),
        "image_info": (),
        "max_photo_failures": 1.0,
        "max_malformed": 1.0,
    }


def _fates(out: Path, boxes: tuple[str, ...], *, limit: int = 0) -> Fates:
    dataset = open_rows(Folder(str(out)))
    return find_fates(dataset, read_box_rows(boxes, inputs=dataset.recipe["inputs"], limit=limit))


@pytest.mark.heavy
@pytest.mark.parametrize(
    "changes", [{}, {"limit": 4}, {"draws": 6, "min_box_px": 60}, {"filters": ("area", "aspect=2")}], ids=str
)
def test_the_fates_of_all_rows_add_up_to_the_manifest(
    make: Make, hostile: dict[str, Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    make(tmp_path / "out", **{**hostile, **changes})
    manifest = read_manifest(Folder(str(tmp_path / "out")))
    fates = _fates(tmp_path / "out", hostile["boxes"])
    assert fates.everything and not fates.missing
    assert differences(fates, manifest["totals"]) == []
    assert fates.counts.total() + fates.nameless == manifest["totals"]["rows"]
    if not changes:
        assert {DRAWN, f"{LOST}truncated", f"{LOST}missing"} <= set(fates.counts)
        assert fates.nameless == 2  # no id; too few fields
    if "min_box_px" in changes:
        assert f"{DRAW_DROPPED}box_too_small" in fates.counts


def test_a_box_that_counts_elsewhere_is_a_difference(make: Make, hostile: dict[str, Any], tmp_path: Path) -> None:
    make(tmp_path / "out", **hostile)
    totals = read_manifest(Folder(str(tmp_path / "out")))["totals"]
    fates = _fates(tmp_path / "out", hostile["boxes"])
    fates.counts[DRAWN] -= 1
    assert [line.split(":")[0] for line in differences(fates, totals)] == ["drawn", "rows"]


def test_an_unfinished_dataset_says_which_photos_are_not_reached_yet(
    make: Make, hostile: dict[str, Any], tmp_path: Path
) -> None:
    job = make(tmp_path / "out", **hostile, finish=False)
    last = max(job.out.names("units"))
    job.out.remove(f"units/{last}")
    job.out.write_json("run/recipe.json", job.recipe)
    unit = last.removesuffix(".json")
    for name in (f"index/train/{unit}.parquet", f"index/validation/{unit}.parquet", f"drops/units/{unit}.parquet"):
        job.out.remove(name)
    first = last.replace("-d01", "-d00").removesuffix(".json")
    job.out.remove(f"units/{first}.json")
    for name in (f"index/train/{first}.parquet", f"index/validation/{first}.parquet", f"drops/units/{first}.parquet"):
        job.out.remove(name)
    assert _fates(tmp_path / "out", hostile["boxes"]).counts[UNREACHED] > 0


def test_other_tables_than_the_datasets_are_refused(make: Make, hostile: dict[str, Any], tmp_path: Path) -> None:
    make(tmp_path / "out", **hostile)
    other = _write_table(tmp_path / "other.csv", [("a", "/m/0", 0, 0, 1, 1)])
    with pytest.raises(InputError, match=r"other\.csv: not the table that the dataset was made from"):
        _fates(tmp_path / "out", (str(other),))
    with pytest.raises(InputError, match="0 tables, the dataset was made from 1"):
        _fates(tmp_path / "out", ())


@given(
    ids=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40),
    limit=st.integers(1, 9),
    cut=st.integers(0, 40),
)
def test_a_limit_takes_whole_photos_and_a_larger_one_takes_them_too(
    ids: list[str], limit: int, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    numbered = [(image_id, f"/m/{number}", 0, 0, 1, 1) for number, image_id in enumerate(ids)]
    paths = [_write_table(folder / "1.csv", numbered[:cut]), _write_table(folder / "2.csv", numbered[cut:])]
    paths = [path for path, rows in zip(paths, (numbered[:cut], numbered[cut:]), strict=True) if rows]
    digests = [{"role": "boxes", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in paths]

    def read(limit: int) -> BoxRows:
        return read_box_rows([str(path) for path in paths], inputs=digests, limit=limit)

    taken, more = read(limit), read(limit + 1)
    rows = taken.table.to_pylist()
    chosen = {row["ImageID"] for row in rows}
    assert len(chosen) == min(limit, len(set(ids)))
    assert chosen <= set(more.table["ImageID"].to_pylist())
    assert taken.everything == (len(set(ids)) <= limit)
    seen: Counter[str] = Counter()
    expected = []
    for image_id, label, *_ in numbered:
        if image_id in chosen:
            expected.append((image_id, label, seen[image_id]))
        seen[image_id] += 1
    assert [(row["ImageID"], row["LabelName"], row["box_id"]) for row in rows] == expected


def test_recorded_inputs_are_used_while_they_are_there_and_named_once_they_are_gone(
    make: Make, hostile: dict[str, Any], tmp_path: Path
) -> None:
    job = make(tmp_path / "out", **hostile)
    config = {"boxes": hostile["boxes"], "images": hostile["images"], "image_info": [], "classes": "s3://names/a.csv"}
    job.out.write_json("run/config.json", config)
    found = find_inputs(job.out)
    assert found.tables == hostile["boxes"]
    assert found.store is not None
    assert found.absent == ("s3://names/a.csv is not local: give it as --classes to read it",)
    shutil.rmtree(hostile["images"][0])
    gone = find_inputs(job.out)
    assert gone.store is None
    assert gone.absent[0] == f"{hostile['images'][0]} is not there any more: give --images"
    with pytest.raises(InputError, match="--images"):
        find_inputs(job.out, images=hostile["images"])


def test_a_damaged_record_of_inputs_says_what_it_can_and_a_damaged_flag_is_refused(
    make: Make, hostile: dict[str, Any], tmp_path: Path
) -> None:
    job = make(tmp_path / "out", **hostile)
    job.out.write_json("run/config.json", {"boxes": 5, "images": {"a": 1}, "image_info": [None], "classes": 7})
    found = find_inputs(job.out)
    assert (found.tables, found.store, found.class_names) == ((), None, {})
    names = tmp_path / "names.csv"
    names.write_bytes(b"\x88\xff")
    job.out.write_json("run/config.json", {"boxes": hostile["boxes"], "classes": str(names)})
    found = find_inputs(job.out)
    assert found.tables == hostile["boxes"] and found.class_names == {}
    assert str(names) in found.absent[0]
    with pytest.raises(InputError, match="--classes"):
        find_inputs(job.out, classes=str(names))


def test_drops_that_cannot_be_read_are_named_and_the_counts_differ(
    make: Make, hostile: dict[str, Any], tmp_path: Path
) -> None:
    job = make(tmp_path / "out", **hostile)
    [drops] = (tmp_path / "out/drops").glob("boxes-*.parquet")
    content = drops.read_bytes()
    drops.write_bytes(content[:-200] + bytes(160) + content[-40:])
    fates = _fates(tmp_path / "out", hostile["boxes"])
    [line] = fates.missing
    assert line.startswith(f"drops/{drops.name}: damaged (")
    assert differences(fates, read_manifest(job.out)["totals"])
