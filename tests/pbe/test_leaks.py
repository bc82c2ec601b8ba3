"""python -m pbe.leaks: a dataset of real photos, a bench with planted copies -> what is in both, said and written."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pbe.evaluation.overlap.facts import read_overlap
from pbe.leaks import main
from pipeline.decoding.decode import decode_photo
from pipeline.jobs.preparation import PreparedJob
from schemas.overlap import OVERLAP
from tests.pbe.evaluation.overlap.planting import encode, made_photo, plant
from tests.pbe.refusals import assert_refused_at_once, refuse_all

COPIES = {  # planted in the bench, by the photo that they were made of
    "00a5740a07000001": "cropped to 80 % of each side",
    "00c4e15ea0000002": "cropped to 80 %, mirrored, turned, shrunk, colours shifted",
    "00c41a0000000006": "turned by 90",
}


@pytest.fixture(scope="module")
def dataset(make: Callable[..., PreparedJob], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of the sample photos."""
    out = tmp_path_factory.mktemp("leaks") / "dataset"
    make(out, draws=1)
    return out


@pytest.fixture(scope="module")
def bench(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench in COCOEE's form: copies, other pictures, and a file that is cut short."""
    bench = tmp_path_factory.mktemp("bench")
    truths, references = bench / "GT_3500", bench / "Ref_3500"
    truths.mkdir()
    references.mkdir()
    for number, (image_id, change) in enumerate(COPIES.items()):
        data = (sample_folder / "train" / f"{image_id}.jpg").read_bytes()
        pixels = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=10**8, min_px=1).pixels
        (truths / f"{number:012d}_GT.jpg").write_bytes(plant(pixels, change))
        (references / f"{number:012d}_ref.jpg").write_bytes(data)
    for number in range(10, 14):
        (truths / f"{number:012d}_GT.png").write_bytes(encode(made_photo(number)))
    (truths / "000000000020_GT.jpg").write_bytes(encode(made_photo(20))[:4000])
    return bench


def run(out: Path, *flags: str) -> int:
    return main([*flags, "--out", str(out), "--workers", "1"])


@pytest.mark.heavy
def test_copies_in_the_bench_are_found_said_and_written_and_a_second_run_changes_nothing(
    dataset: Path, bench: Path, sample_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (str(dataset), "--photos", str(sample_folder / "train"), "--bench", str(bench))
    assert run(tmp_path / "out", *flags) == 0
    said = capsys.readouterr().out
    assert "LEAKED: leak check: 3 of 8 bench photos are in the training set: 000000000000, 000000000001" in said
    assert f"{bench}: 1 photos not compared: truncated (000000000020)" in said
    assert "false positives: 0 of 42 pairs" in said  # 21 within the 7 photos of each side

    facts = read_overlap(str(tmp_path / "out"))
    assert facts.shared == ("000000000000", "000000000001", "000000000002")
    assert (facts.training.photos, facts.training.compared, facts.other.compared) == (7, 7, 7)
    table = pq.read_table(tmp_path / "out" / "overlap.parquet")
    assert table.schema.equals(OVERLAP)
    assert table["photo"].to_pylist() == list(COPIES) and set(table["found_by"].to_pylist()) == {"pixels"}
    assert table["turn"].to_pylist()[2] == "turned by 270"  # turns it back
    assert (tmp_path / "out" / "overlap.jpg").read_bytes().startswith(b"\xff\xd8")

    names = ("overlap.parquet", "overlap.json", "overlap.jpg")
    before = [(tmp_path / "out" / name).read_bytes() for name in names]
    [block] = (tmp_path / "out" / "blocks").glob("*/0000-000000.json")
    block.write_text('{"photos": 7, "dig')
    [control] = (tmp_path / "out" / "blocks").glob("*/control-1.json")
    control.unlink()  # as a kill leaves it
    assert run(tmp_path / "out", *flags) == 0
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == before


def test_photos_that_the_dataset_does_not_hold_or_that_changed_since_do_not_count(
    dataset: Path, sample_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, bench = tmp_path / "photos", tmp_path / "bench"
    photos.mkdir()
    bench.mkdir()
    for file in (sample_folder / "train").iterdir():
        (photos / file.name).write_bytes(file.read_bytes())
    changed = photos / "00a5740a07000001.jpg"
    changed.write_bytes(encode(made_photo(1)))
    (photos / "000c4e7000000004.jpg").unlink()
    (photos / "stranger.jpg").write_bytes(encode(made_photo(2)))
    for number in (1, 2):
        (bench / f"{number}.jpg").write_bytes(encode(made_photo(number), quality=60))
    assert run(tmp_path / "out", str(dataset), "--photos", str(photos), "--bench", str(bench)) == 0
    facts = read_overlap(str(tmp_path / "out"))
    assert facts.shared == () and "none of 2 bench photos was found" in capsys.readouterr().out
    assert facts.training.unreadable == {"missing": 1, "other_bytes": 1}
    assert facts.training.unreadable_names["other_bytes"] == ("00a5740a07000001",)


def test_photos_with_one_flickr_id_are_shared_whatever_they_show(tmp_path: Path) -> None:
    for folder, number in (("photos", 1), ("bench", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{number:012d}.jpg").write_bytes(encode(made_photo(number)))
    (tmp_path / "info.csv").write_text("ImageID,OriginalLandingURL\n000000000001,https://www.flickr.com/photos/a/777\n")
    image = {"id": 2, "file_name": "000000000002.jpg", "flickr_url": "http://farm1.staticflickr.com/1/777_ab_z.jpg"}
    (tmp_path / "coco.json").write_text(json.dumps({"images": [image]}))
    flags = ["--photos", str(tmp_path / "photos"), "--bench", str(tmp_path / "bench")]
    info = ["--image-info", str(tmp_path / "info.csv"), "--bench-info", str(tmp_path / "coco.json")]
    assert run(tmp_path / "out", *flags, *info) == 0
    [row] = pq.read_table(tmp_path / "out" / "overlap.parquet").to_pylist()
    assert (row["found_by"], row["flickr_id"], row["inliers"]) == ("flickr id", 777, None)
    assert read_overlap(str(tmp_path / "out")).training.flickr_ids == 1


def test_a_table_of_cases_is_searched_by_sources_and_ground_truths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("photos", "cases"):
        (tmp_path / folder).mkdir()
    for number in (1, 2):
        (tmp_path / "photos" / f"train{number}.jpg").write_bytes(encode(made_photo(number)))
    for name, number in (("a", 5), ("b", 6), ("truth", 2)):
        (tmp_path / "cases" / f"{name}.jpg").write_bytes(plant(made_photo(number), "mirrored"))
    table = tmp_path / "cases" / "cases.csv"
    table.write_text(
        'name,source,exemplar,box,ground_truth\none,a.jpg,a.jpg,"0,0,9,9",\ntwo,b.jpg,a.jpg,"0,0,9,9",truth.jpg\n'
    )
    flags = ("--photos", str(tmp_path / "photos"), "--bench", str(table))
    assert run(tmp_path / "out", *flags) == 0
    facts = read_overlap(str(tmp_path / "out"))
    assert facts.shared == ("two (ground truth)",) and facts.other.photos == 3
    table.write_text("name,source,exemplar,box\none,a.jpg,a.jpg,wrong\n")
    assert run(tmp_path / "out", *flags) == 2 and "--bench" in capsys.readouterr().err


def test_two_datasets_of_the_same_photos_share_all(dataset: Path, sample_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy"
    other.symlink_to(dataset)
    flags = (str(dataset), "--photos", str(sample_folder / "train"), "--against", str(other))
    assert run(tmp_path / "out", *flags) == 0
    facts = read_overlap(str(tmp_path / "out"))
    assert facts.other.photos == 7 and not facts.is_bench
    assert len(facts.shared) + len(facts.elsewhere) == 7  # some may be in another split


@pytest.mark.processes
def test_mistakes_are_refused_at_once(tmp_path: Path) -> None:
    for folder in ("photos", "bench"):
        (tmp_path / folder).mkdir()
    (tmp_path / "file").write_text("")
    both = ["--photos", "photos", "--bench", "bench"]
    refused = {
        "no bench": (["--photos", "photos", "--out", "o"], ["--bench and --against: give one"]),
        "no photos": (["--bench", "bench", "--out", "o"], ["--photos: give the folder"]),
        "no out": (both, ["--out: give a folder"]),
        "no workers": ([*both, "--out", "o", "--workers", "0"], ["--workers 0: give at least 1"]),
        "no such bench": (["--photos", "photos", "--bench", "x", "--out", "o"], ["--bench x: no such file or folder"]),
        "no such dataset": (["x", *both, "--out", "o"], ["DATASET x: no such file or folder"]),
        "itself": (["bench", "--photos", "photos", "--against", "bench", "--out", "o"], ["is the dataset itself"]),
        "a file in the way": ([*both, "--out", "file"], ["--out file", "is a file"]),
        "out in the bench": ([*both, "--out", "bench/o"], ["--out bench/o: lies in --bench bench"]),
        "no such table": ([*both, "--out", "o", "--bench-info", "x.json"], ["--bench-info x.json: no such file"]),
        "empty photos": ([*both, "--out", "o"], ["--photos", "no photo"]),
        "no dataset": (["bench", *both, "--out", "o"], ["no photo"]),
    }
    ends = refuse_all("pbe.leaks", {name: line for name, (line, _) in refused.items()}, folder=tmp_path)
    for name, (_, expected) in refused.items():
        assert_refused_at_once(ends[name], expected)
    assert not (tmp_path / "o").exists()
