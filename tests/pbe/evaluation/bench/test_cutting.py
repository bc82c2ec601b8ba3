"""A bench is cut from a dataset of ours: other objects of the class, or the own ones; its table opens as the same."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest

from pbe.evaluation.bench.cases import Bench, open_case, seed_of_case
from pbe.evaluation.bench.cut_pictures import unsquash
from pbe.evaluation.bench.cutting import cut_bench
from pbe.evaluation.bench.digests import digest_of_bench
from pbe.evaluation.bench.opening import open_bench
from pbe.evaluation.bench.preflight import check_bench
from pipeline.decoding.jpeg import decode_jpeg, encode_jpeg
from pipeline.draws.raster import mask_of
from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.samples import Row, read_sample
from pipeline.storage.folder import Folder
from tests.pipeline.pairing.own_pairs import make as make_pairs
from tests.pipeline.pairing.own_pairs import write_pairs

Make = Callable[..., PreparedJob]
QUIET: dict[str, Any] = {"say": lambda line: None}


def _noise(side: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _write_boxes(path: Path, photos: list[str]) -> str:
    """Write three boxes a photo: a cat, a wheel of another shape, and what no other photo has."""
    lonely = ["/m/01g317", "/m/0zvk5", "/m/03120", "/m/0cmx8", "/m/04_sv", "/m/025dyy", "/m/0c9ph5"]
    rows = [["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"]]
    for photo, label in zip(photos, lonely, strict=True):
        rows += [[photo, "/m/01yrx", 0.1, 0.6, 0.1, 0.5], [photo, "/m/083wq", 0.3, 0.9, 0.3, 0.8]]
        rows += [[photo, label, 0.2, 0.7, 0.5, 0.9]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


@pytest.fixture(scope="module")
def dataset(make: Make, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that keeps no sources, of photos that lie in PLACE/photos; most of it is validation, half jittered."""
    place = tmp_path_factory.mktemp("cutting")
    shutil.copytree(sample_folder / "train", place / "photos")
    photos = sorted(path.stem for path in (place / "photos").iterdir())
    inputs = {"boxes": (_write_boxes(place / "boxes.csv", photos),), "images": (str(place / "photos"),)}
    make(place / "set", split_shares=(0.2, 0.8, 0.0), draws=4, keep_source=False, colour_jitter=0.5, **inputs)
    (place / "set/run/config.json").write_text(json.dumps({"images": inputs["images"]}))  # as the job leaves it
    return place / "set"


@pytest.fixture(scope="module")
def rows(dataset: Path) -> dict[str, Row]:
    table = ds.dataset(dataset / "index", format="parquet").to_table()
    return {row["key"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def bench(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return cut_bench(str(dataset), str(tmp_path_factory.mktemp("run")), **QUIET)


def test_each_case_is_a_box_of_draw_0_with_another_photos_object_of_its_class(
    bench: Bench, dataset: Path, rows: dict[str, Row]
) -> None:
    assert (bench.kind, bench.name, bench.banners, bench.shares_exemplar) == ("cut", "set (validation)", (), False)
    assert check_bench(bench) == [] and len(bench.cases) >= 3
    stored = {
        key: unsquash(read_sample(Folder(str(dataset)), row).exemplar_pixels, row["exemplar_box"]).tobytes()
        for key, row in rows.items()
    }
    assert {bool(rows[case.name]["jitter"]) for case in bench.cases} == {False, True}
    for case in bench.cases:
        row, opened = rows[case.name], open_case(case)
        assert (row["split"], row["draw"], row["label_name"]) == ("validation", 0, case.label)
        np.testing.assert_array_equal(opened.mask, mask_of(row, 64))
        np.testing.assert_array_equal(opened.ground_truth, opened.source)
        assert opened.source.shape == (64, 64, 3)
        assert opened.seed == seed_of_case(0, case.name)
        [partner] = {rows[key]["image_id"] for key, exemplar in stored.items() if exemplar == opened.exemplar.tobytes()}
        assert partner != row["image_id"]
        assert (partner, row["label"]) in {
            (other["image_id"], other["label"]) for other in rows.values() if other["split"] == "validation"
        }


def test_what_was_left_out_is_counted_with_its_reason(bench: Bench, rows: dict[str, Row]) -> None:
    there = [row for row in rows.values() if row["split"] == "validation" and row["draw"] == 0]
    left_out = sum(int(note.split()[0]) for note in bench.notes)
    assert left_out + len(bench.cases) == len(there)
    assert all("no other photo of the split shows their class" in note for note in bench.notes)


def test_the_table_opens_as_the_same_bench_and_nothing_is_cut_twice(bench: Bench, dataset: Path) -> None:
    table = Path(bench.cases[0].table)
    assert open_bench(str(table)) == bench
    before = {path: path.stat().st_mtime_ns for path in table.parent.rglob("*")}
    said: list[str] = []
    assert cut_bench(str(dataset), str(table.parent.parent), say=said.append) == bench
    assert said == [] and {path: path.stat().st_mtime_ns for path in table.parent.rglob("*")} == before
    with pytest.raises(InputError, match=r"holds another bench \(exemplar other -> own, seed 0 -> 7\)"):
        cut_bench(str(dataset), str(table.parent.parent), exemplar="own", seed=7, **QUIET)


def test_stored_sources_and_photos_give_the_same_cases(
    make: Make, bench: Bench, dataset: Path, sample_folder: Path, tmp_path: Path
) -> None:
    inputs = {"boxes": (str(dataset.parent / "boxes.csv"),), "images": (str(dataset.parent / "photos"),)}
    make(tmp_path / "set", split_shares=(0.2, 0.8, 0.0), draws=4, keep_source=True, colour_jitter=0.5, **inputs)
    kept = cut_bench(str(tmp_path / "set"), str(tmp_path), **QUIET)
    assert [(case.name, case.label, case.seeds) for case in kept.cases] == [
        (case.name, case.label, case.seeds) for case in bench.cases
    ]
    for one, other in zip(map(open_case, kept.cases), map(open_case, bench.cases), strict=True):
        np.testing.assert_array_equal(one.exemplar, other.exemplar)
        np.testing.assert_array_equal(one.mask, other.mask)
        np.testing.assert_array_equal(one.source, decode_jpeg(encode_jpeg(other.source)))


def test_a_smaller_bench_is_a_part_of_a_larger_one(bench: Bench, dataset: Path, tmp_path: Path) -> None:
    small = cut_bench(str(dataset), str(tmp_path), limit=1, **QUIET)
    assert (len(small.cases), small.subset_of) == (1, len(bench.cases))
    assert {case.name for case in small.cases} == {
        case.name for case in open_bench(bench.cases[0].table, limit=1).cases
    }
    assert {path.stem for path in (tmp_path / "bench/sources").iterdir()} == {case.name for case in small.cases}


def test_own_exemplars_and_the_train_split_are_said_loudly(dataset: Path, rows: dict[str, Row], tmp_path: Path) -> None:
    bench = cut_bench(str(dataset), str(tmp_path), split="train", exemplar="own", **QUIET)
    seen, own = bench.banners
    count = len(bench.cases)
    assert seen.startswith("seen in training")
    assert own == f"reconstruction: the exemplars of {count} of {count} cases are cut out of the ground truth"
    assert bench.shares_exemplar and open_bench(bench.cases[0].table) == bench
    row = rows[bench.cases[0].name]
    exemplar = read_sample(Folder(str(dataset)), row).exemplar_pixels
    np.testing.assert_array_equal(open_case(bench.cases[0]).exemplar, unsquash(exemplar, row["exemplar_box"]))


def test_a_photo_that_changed_or_is_gone_and_a_damaged_sample_are_counted(
    dataset: Path, rows: dict[str, Row], tmp_path: Path
) -> None:
    photos, copied = tmp_path / "photos", tmp_path / "set"
    shutil.copytree(dataset.parent / "photos", photos)
    shutil.copytree(dataset, copied)
    boxes = sorted(
        (row for row in rows.values() if row["split"] == "validation" and row["draw"] == 0), key=lambda row: row["key"]
    )
    first, *others = sorted({row["image_id"] for row in boxes})
    (photos / f"{first}.jpg").write_bytes((photos / f"{others[0]}.jpg").read_bytes())
    damaged = next(row for row in boxes if row["image_id"] == others[-1])
    shard = copied / damaged["shard"]
    content = bytearray(shard.read_bytes())
    content[damaged["offset"] + damaged["size"] // 2] ^= 255
    shard.write_bytes(content)
    bench = cut_bench(str(copied), str(tmp_path), exemplar="own", images=[str(photos)], **QUIET)
    lost = sum(row["image_id"] == first for row in boxes)
    changed, harmed = sorted(bench.notes, key=lambda note: "damaged" in note)
    assert changed.startswith(f"{lost} cases could not be cut (changed), such as {first}-")
    assert harmed.startswith(f"1 cases could not be cut (damaged), such as {damaged['key']}: {damaged['shard']}")
    assert len(bench.cases) + lost + 1 == len(boxes)


def test_a_bench_that_was_not_cut_to_its_end_is_refused_and_cut_anew(
    dataset: Path, bench: Bench, tmp_path: Path
) -> None:
    shutil.copytree(Path(bench.cases[0].table).parent, tmp_path / "bench")
    note = json.loads((tmp_path / "bench/bench.json").read_text())
    (tmp_path / "bench/bench.json").write_text(json.dumps({**note, "finished": False}))
    (tmp_path / "bench/sources/stale.png").touch()
    with pytest.raises(InputError, match="was not cut to its end; run the command that cuts it again"):
        open_bench(str(tmp_path / "bench/cases.csv"))
    again = cut_bench(str(dataset), str(tmp_path), **QUIET)
    assert digest_of_bench(again) == digest_of_bench(bench)
    assert not (tmp_path / "bench/sources/stale.png").exists()


def test_what_cannot_be_cut_is_refused_with_what_there_is(dataset: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(
        InputError, match=r"holds no sample of it; there are: train \(\d+ samples\), validation \(\d+ samples\)"
    ):
        cut_bench(str(dataset), out, split="test", **QUIET)
    with pytest.raises(InputError, match="--split dev: give one of train, validation, test"):
        cut_bench(str(dataset), out, split="dev", **QUIET)
    with pytest.raises(InputError, match="--exemplar any: give other or own"):
        cut_bench(str(dataset), out, exemplar="any", **QUIET)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no such folder"):
        cut_bench(str(tmp_path / "none"), out, **QUIET)
    moved = tmp_path / "moved"
    shutil.copytree(dataset, moved)
    config = json.loads((moved / "run/config.json").read_text())
    (moved / "run/config.json").write_text(json.dumps({**config, "images": [str(tmp_path / "gone")]}))
    with pytest.raises(InputError, match=r"stores no sources, and its photos are not there .*gone.*: give --images"):
        cut_bench(str(moved), out, **QUIET)
    assert not Path(out).exists()
    (tmp_path / "out/bench").mkdir(parents=True)
    (tmp_path / "out/bench/cases.csv").write_text("source,exemplar,mask\n")
    with pytest.raises(InputError, match=r"is there, without a bench.json that says what it is; give another --out"):
        cut_bench(str(dataset), out, **QUIET)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b'{"format": "other"}', b'{"format": "bench cut by pbe.evaluate"}'], ids=range(5)
)
def test_a_note_of_another_kind_is_refused(bench: Bench, tmp_path: Path, content: bytes) -> None:
    shutil.copy(bench.cases[0].table, tmp_path)
    (tmp_path / "bench.json").write_bytes(content)
    with pytest.raises(InputError, match=r"is not the note of a bench .* cut the bench again"):
        open_bench(str(tmp_path / "cases.csv"))


def test_an_exemplar_gets_the_shape_of_its_box_back() -> None:
    square = _noise(224)
    assert unsquash(square, (10, 10, 110, 60)).shape == (224, 448, 3)
    assert unsquash(square, (0, 0, 3, 300)).shape == (224 * 8, 224, 3)
    assert unsquash(square, (0, 0, 0, 0)) is square  # a picture of its own
    np.testing.assert_array_equal(unsquash(square, (0, 0, 50, 50)), square)


@pytest.mark.slow
def test_an_exemplar_that_is_a_picture_of_its_own_is_no_part_of_the_ground_truth(
    jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    pairs = write_pairs(tmp_path / "own", jpeg, ("a", "b"))
    (pairs / "exemplars").mkdir()
    (pairs / "exemplars/a.jpg").write_bytes(jpeg((90, 60)))
    assert make_pairs(pairs, tmp_path / "set") == 0
    with pytest.raises(InputError, match=r"no case is left of its 2 boxes: 2 of 2 boxes .* they have no class"):
        cut_bench(str(tmp_path / "set"), str(tmp_path / "other"), split="train", **QUIET)
    bench = cut_bench(str(tmp_path / "set"), str(tmp_path), split="train", exemplar="own", **QUIET)
    assert "the exemplars of 1 of 2 cases are cut out of the ground truth" in bench.banners[1]
    assert {case.name: case.label for case in bench.cases} == {"a-0-0": "", "b-0-0": ""} and bench.shares_exemplar
    assert check_bench(bench) == []
    assert open_case(bench.cases[0]).exemplar.shape[0] >= 224


def test_a_damaged_index_is_refused_with_the_command_that_verifies_it(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "set")
    index = next((tmp_path / "set/index/validation").iterdir())
    index.write_bytes(index.read_bytes()[:-9])
    with pytest.raises(InputError, match=rf"{index.name}: .*; run `python -m ray_jobs.verify_shards .*`"):
        cut_bench(str(tmp_path / "set"), str(tmp_path), **QUIET)
