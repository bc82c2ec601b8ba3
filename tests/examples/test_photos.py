"""The pictures of the small model: free ones only, boxes that lie in their squares, the same bytes each time."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.small_model.photos import (
    LARGEST_SHARE,
    LEAST_SEEN,
    SMALLEST_SHARE,
    main,
    random_box,
    seen_in,
)
from examples.small_model.scenes import draw_scene
from pipeline.rng import rng_for

Coco = Callable[..., Path]
PART = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 1), st.floats(0.01, 1)).map(
    lambda p: (p[0], p[1], p[0] + (1 - p[0]) * p[2], p[1] + (1 - p[1]) * p[3])
)


@given(PART, PART)
def test_a_box_is_kept_where_enough_of_it_is_seen_and_then_lies_in_the_square(
    box: tuple[float, float, float, float], place: tuple[float, float, float, float]
) -> None:
    seen = seen_in(box, place)
    width, height = place[2] - place[0], place[3] - place[1]
    across = max(0.0, min(box[2], place[2]) - max(box[0], place[0]))
    down = max(0.0, min(box[3], place[3]) - max(box[1], place[1]))
    share, whole = across * down / (width * height), (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
    if seen is None:
        assert share < LEAST_SEEN * whole + 1e-9 or not SMALLEST_SHARE + 1e-9 < share < LARGEST_SHARE - 1e-9
    else:
        assert 0 <= seen[0] < seen[2] <= 1 and 0 <= seen[1] < seen[3] <= 1
        assert (seen[2] - seen[0]) * (seen[3] - seen[1]) == pytest.approx(share, abs=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_scene_shows_its_object_in_its_box_and_is_drawn_the_same_again(number: int) -> None:
    scene, box, _ = draw_scene(rng_for(0, "scene", number), 64)
    again, _, _ = draw_scene(rng_for(0, "scene", number), 64)
    assert scene.shape == (64, 64, 3) and scene.dtype == np.uint8 and np.array_equal(scene, again)
    assert 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
    left, top, right, bottom = random_box(rng_for(0, "box", number))
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_free_photos_alone_become_squares_with_their_licences(real_data: Path, tmp_path: Path) -> None:
    coco = tmp_path / "coco"
    (coco / "train").mkdir(parents=True)
    for name in ("sources.csv", "train-annotations-bbox.csv"):
        (coco / name).write_bytes((real_data / "realset256" / name).read_bytes())
    with (coco / "sources.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    free = [row["ImageID"] for row in rows if row["CocoLicenseId"] == "4"][:2]
    taken = [*free, *[row["ImageID"] for row in rows if row["CocoLicenseId"] in ("1", "2", "")][:2]]
    lines = (coco / "sources.csv").read_text().splitlines()
    (coco / "sources.csv").write_text("\n".join([lines[0], *(x for x in lines if x.split(",")[0] in taken)]) + "\n")
    for name in taken:
        (coco / f"train/{name}.jpg").write_bytes((real_data / f"realset256/train/{name}.jpg").read_bytes())
    flags = ["--coco", str(coco), "--crops", "3", "--scenes", "2", "--side", "64"]
    for out in ("one", "two"):
        assert main([*flags, "--out", str(tmp_path / out)]) == 0
    with (tmp_path / "one/sources.csv").open(newline="") as file:
        sources = {row["ImageID"]: row["licence"] for row in csv.DictReader(file)}
    assert {key.rpartition("-")[0] for key in sources} == {*free, "scene"}
    assert set(sources.values()) == {"CC BY 2.0", "CC0-1.0"}
    owners = (tmp_path / "one/photos.csv").read_text().splitlines()[1:]
    assert owners == [f'{name}.jpg,"COCO 2017, train",CC BY 2.0,' for name in sorted(free)]
    files = {path.relative_to(tmp_path / "one"): path.read_bytes() for path in (tmp_path / "one").rglob("*.*")}
    assert len(files) == 3 + 2 * 3 + 2
    assert all((tmp_path / "two" / name).read_bytes() == content for name, content in files.items())


def test_no_photos_are_refused_by_the_flags_that_name_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "out")]) == 2
    assert "--openimages, --coco, --wallpapers" in capsys.readouterr().err and not (tmp_path / "out").exists()


FEW = ("--crops", "2", "--scenes", "1", "--side", "32", "--boxes", "1")


def test_an_older_folder_is_replaced_so_that_no_square_of_other_photos_stays(coco: Coco, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["--coco", str(coco("one", {"a": "4", "b": "7"})), "--out", str(out), *FEW]) == 0
    assert main(["--coco", str(coco("two", {"b": "4", "c": "1"})), "--out", str(out), *FEW]) == 0
    assert {path.name for path in (out / "train").iterdir()} == {"b-000.jpg", "b-001.jpg", "scene-00000.jpg"}
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "out"}


def test_a_photo_that_cannot_be_used_is_named_and_leaves_no_folder(
    coco: Coco, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = coco("coco", {"a": "4", "b": "4", "c": "4"})
    for content, said in ((b"no picture", "cannot be used"), (b"", "empty"), (None, "missing")):
        (folder / "train/b.jpg").unlink() if content is None else (folder / "train/b.jpg").write_bytes(content)
        assert main(["--coco", str(folder), "--out", str(tmp_path / "out"), *FEW]) == 2
        assert f"{folder}/train/b.jpg: cannot be used" in (err := capsys.readouterr().err) and said in err
    assert {path.name for path in tmp_path.iterdir()} == {"coco"}


def test_neither_the_photos_themselves_nor_a_folder_of_something_else_are_replaced(
    coco: Coco, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = coco("all/coco", {"a": "4"})
    (tmp_path / "else").mkdir()
    (tmp_path / "else/photos.csv").write_text("photo\n")
    (tmp_path / "else/weights.safetensors").write_text("dear")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    for out in (folder, folder.parent, tmp_path / "else", "memory://out"):
        assert main(["--coco", str(folder), "--out", str(out), *FEW]) == 2
        assert f"--out {out}: " in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("flag", ["--openimages", "--coco", "--wallpapers"])
@pytest.mark.parametrize("place", ["nowhere", "empty", "taken"])
def test_a_folder_that_brings_no_free_photo_is_refused_beside_one_that_does(
    coco: Coco, tmp_path: Path, flag: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    coco("taken", {"a": "1"})
    if flag == "--openimages":
        (tmp_path / "taken/sources.csv").unlink()
        (tmp_path / "taken/train/a.jpg").unlink()
    free = ["--coco", str(coco("free", {"b": "4"}))] if flag != "--coco" else []
    assert main([*free, flag, str(tmp_path / place), "--out", str(tmp_path / "out"), *FEW]) == 2
    assert f"{flag} {tmp_path / place}" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_photos_whose_squares_would_have_one_name_are_refused(
    coco: Coco, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = coco("one", {"a": "4"}), coco("two", {"a": "4"})
    (second / "sources.csv").unlink()
    assert main(["--coco", str(first), "--openimages", str(second), "--out", str(tmp_path / "out"), *FEW]) == 2
    assert "squares of both would be called a;" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "value"), [("--crops", "0"), ("--scenes", "-1"), ("--side", "8"), ("--boxes", "-1")])
def test_a_number_that_cannot_work_is_refused_by_its_flag(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", "out", flag, value]) == 2
    assert f"{flag} {value}: give a whole number from" in capsys.readouterr().err
