"""Every row of the box tables is followed to where it ended, by a reader of its own: plain csv, no code of the job."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.storage.folder import Folder
from tests.pipeline.conftest import problems
from tests.tagged import write_tagged

Make = Callable[..., PreparedJob]
Place = tuple[str, int]  # image_id, ordinal of the row within its photo, in input order

HEADER = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
WIDTH, HEIGHT = 120, 80  # of the photos made here
MIN_BOX_PX = 24
THERE = ("a", "b", "c", "e/../e", "f" * 200)  # the last two are odd ids that cannot be file names, so lost
GONE = ("gone",)


@dataclass
class Rows:
    """The rows of all tables, as csv reads them."""

    boxes: dict[Place, dict[str, str]] = field(default_factory=dict)
    without_photo: list[list[str]] = field(default_factory=list)  # too many or too few fields, or no image id

    def __len__(self) -> int:
        return len(self.boxes) + len(self.without_photo)


@dataclass
class Ends:
    """Where a dataset says that boxes ended."""

    dropped: dict[Place, str] = field(default_factory=dict)  # before units, "stage/reason"
    nameless: Counter[str] = field(default_factory=Counter)
    photos_without_box: set[str] = field(default_factory=set)
    samples: dict[tuple[str, int, int], dict[str, Any]] = field(default_factory=dict)  # by image_id, box_id, draw
    dropped_draws: dict[tuple[str, int, int], str] = field(default_factory=dict)
    lost_photos: set[str] = field(default_factory=set)


def read_rows(tables: list[Path]) -> Rows:
    rows, ordinals = Rows(), Counter[str]()
    for table in tables:
        with table.open(newline="") as file:
            header, *lines = csv.reader(file)
        for line in filter(None, lines):
            image_id = line[header.index("ImageID")] if len(line) == len(header) else ""
            if not image_id:
                rows.without_photo.append(line)
                continue
            rows.boxes[image_id, ordinals[image_id]] = dict(zip(header, line, strict=True))
            ordinals[image_id] += 1
    return rows


def rows_of(out: Path, pattern: str) -> Iterator[dict[str, Any]]:
    for path in sorted(out.glob(pattern)):
        yield from pq.read_table(path).to_pylist()


def read_ends(out: Path) -> Ends:
    ends = Ends()
    for drop in rows_of(out, "drops/boxes-*.parquet"):
        reason, place = f"{drop['stage']}/{drop['reason']}", (drop["image_id"], drop["box_id"])
        assert drop["draw"] is None
        if not drop["image_id"]:
            assert drop["box_id"] is None
            ends.nameless[reason] += 1
        elif drop["box_id"] is None:
            assert reason == "filter/no_kept_box"
            assert drop["image_id"] not in ends.photos_without_box
            ends.photos_without_box.add(drop["image_id"])
        else:
            assert place not in ends.dropped
            ends.dropped[place] = reason
    for row in rows_of(out, "index/*/*.parquet"):
        key = (row["image_id"], row["box_id"], row["draw"])
        assert key not in ends.samples
        ends.samples[key] = row
    for drop in rows_of(out, "drops/units/*.parquet"):
        key = (drop["image_id"], drop["box_id"], drop["draw"])
        assert key not in ends.dropped_draws
        ends.dropped_draws[key] = f"{drop['stage']}/{drop['reason']}"
        if drop["stage"] == "photo":
            ends.lost_photos.add(drop["image_id"])
    return ends


def follow(rows: Rows, ends: Ends) -> Counter[str]:
    """Find the one place where each row ended."""
    seen = {image for image, *_ in [*ends.samples, *ends.dropped_draws]}
    drawn = {key[:2] for key in ends.samples}
    drawn |= {key[:2] for key, reason in ends.dropped_draws.items() if reason.startswith("draw/")}
    fates = Counter[str]()
    for place in rows.boxes:
        image_id = place[0]
        fate = {
            "dropped": place in ends.dropped,
            "drawn": place in drawn,
            "in lost photos": place not in ends.dropped and image_id in ends.lost_photos,
            "beyond limit": place not in ends.dropped and image_id not in seen,
            "not drawn": place not in ends.dropped and place not in drawn and image_id in seen - ends.lost_photos,
        }
        assert sum(fate.values()) == 1, (place, fate)
        fates[next(name for name, true in fate.items() if true)] += 1
    ended = {*ends.dropped, *drawn, *(key[:2] for key in ends.dropped_draws)}
    assert ended <= rows.boxes.keys()  # nothing ends that was not in a table
    return fates


def check_accounts(out: Path, tables: list[Path], *, draws: int) -> tuple[Rows, Ends, dict[str, Any]]:
    """Follow every row, and compare the counts with the manifest's totals."""
    rows, ends = read_rows(tables), read_ends(out)
    fates = follow(rows, ends)
    totals = json.loads((out / "manifest.json").read_text())["totals"]
    told = {f"boxes/{reason}": count for reason, count in totals["malformed"].items()}
    told |= {f"filter/{rule}": count for rule, count in totals["filtered"].items()}
    assert totals["rows"] == len(rows)
    assert Counter(ends.dropped.values()) + ends.nameless == told
    assert ends.nameless.total() == len(rows.without_photo)
    kept = {place for place in rows.boxes if place not in ends.dropped}
    assert totals["boxes_kept"] == len(kept)
    assert totals["boxes_drawn"] == fates["drawn"]
    assert totals["boxes_not_drawn"] == fates["not drawn"]
    assert totals["boxes_in_lost_photos"] == fates["in lost photos"]
    planned = {image for image, *_ in [*ends.samples, *ends.dropped_draws]} - ends.lost_photos
    kept_by_photo = Counter(image for image, _ in kept if image in planned)
    assert totals["photos_by_boxes"] == {str(count): n for count, n in Counter(kept_by_photo.values()).items()}
    assert totals["boxes_beyond_limit"] == fates["beyond limit"]
    assert totals["photos"] == len({image for image, _ in rows.boxes})
    assert ends.photos_without_box == {image for image, _ in rows.boxes} - {image for image, _ in kept}
    assert totals["photos_without_kept_box"] == len(ends.photos_without_box)
    assert totals["samples"] == len(ends.samples)
    assert totals["draws_dropped"] == Counter(ends.dropped_draws.values())
    assert totals["draws_planned"] == len(ends.samples) + len(ends.dropped_draws) == totals["photos_planned"] * draws
    check_draws(rows, ends, kept, draws)
    return rows, ends, totals


def check_draws(rows: Rows, ends: Ends, kept: set[Place], draws: int) -> None:
    """Each planned photo has each draw once, cycles through its kept boxes, and a sample tells of its own row."""
    assert not ends.samples.keys() & ends.dropped_draws.keys()
    taken: dict[str, dict[int, int]] = {}
    for image_id, box_id, draw in [*ends.samples, *ends.dropped_draws]:
        assert (image_id, box_id) in kept
        assert draw not in taken.setdefault(image_id, {})
        taken[image_id][draw] = box_id
    for image_id, boxes in taken.items():
        assert sorted(boxes) == list(range(draws))
        assert len(set(boxes.values())) == min(draws, sum(image == image_id for image, _ in kept))
    for (image_id, box_id, _), sample in ends.samples.items():
        row = rows.boxes[image_id, box_id]
        assert sample["label"] == row["LabelName"]
        sides = [float(row[name]) for name in ("XMin", "YMin", "XMax", "YMax")]
        assert sample["box_source"] == pytest.approx(sides, abs=1e-6)


def expected_drop(row: dict[str, str]) -> str:
    """Judge a row of the tables made here as design and README tell, in plain Python."""
    if not row["LabelName"]:
        return "boxes/no_label"
    try:
        sides = [float(row[name]) for name in ("XMin", "YMin", "XMax", "YMax")]
    except ValueError:
        return "boxes/not_a_number"
    if min(sides) < 0 or max(sides) > 1:
        return "boxes/outside_photo"
    x_min, y_min, x_max, y_max = sides
    if x_max <= x_min or y_max <= y_min:
        return "boxes/empty_box"
    if row["IsGroupOf"] not in ("0", "1", "-1", ""):
        return "boxes/bad_flag"
    if not 0.02 <= (x_max - x_min) * (y_max - y_min) <= 0.8:
        return "filter/area"
    return "filter/group_of" if row["IsGroupOf"] == "1" else ""


def expected_drops(rows: Rows) -> dict[Place, str]:
    """Judge all rows: the second of two good ones with equal label and sides repeats the first."""
    seen: set[tuple[str, ...]] = set()
    expected = {}
    for place, row in rows.boxes.items():
        expected[place] = expected_drop(row)
        same = (place[0], *(row[name] for name in HEADER[1:6]))
        if not expected[place].startswith("boxes/"):
            expected[place] = "boxes/duplicate" if same in seen else expected[place]
            seen.add(same)
    return {place: reason for place, reason in expected.items() if reason}


GOOD = ("/m/01", "0.1", "0.7", "0.1", "0.8", "0")
SHAPES = (
    *[GOOD] * 3,
    ("/m/02", "0.2", "0.9", "0.3", "0.9", "-1"),
    ("/m/02", "0.0", "0.15", "0.0", "1.0", ""),  # 18 px wide: too small
    ("/m/01", "0.1", "0.2", "0.1", "0.2", "0"),  # area
    ("/m/01", "0.0", "1.0", "0.0", "1.0", "0"),  # area
    ("/m/01", "0.1", "0.7", "0.1", "0.8", "1"),  # group_of
    ("", "0.1", "0.7", "0.1", "0.8", "0"),
    ("/m/01", "x", "0.7", "0.1", "0.8", "0"),
    ("/m/01", "0.1", "1.7", "0.1", "0.8", "0"),
    ("/m/01", "0.7", "0.1", "0.1", "0.8", "0"),
    ("/m/01", "0.1", "0.7", "0.1", "0.8", "7"),
    ("/m/01", "0.1", "0.7"),  # too few fields
    ("/m/01", "0.1", "0.7", "0.1", "0.8", "0", "more"),
)
LINES = st.tuples(st.sampled_from([*THERE, *GONE, ""]), st.sampled_from(SHAPES)).map(lambda row: (row[0], *row[1]))
TABLES = st.lists(st.lists(LINES, max_size=25), min_size=1, max_size=3)


def write_tables(folder: Path, tables: list[list[tuple[str, ...]]]) -> list[Path]:
    """Write CSV tables; each opens with good rows, since a table without one is refused, as are copies."""
    paths = []
    for number, lines in enumerate(tables):
        paths.append(folder / f"boxes-{number}.csv")
        with paths[-1].open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                [HEADER, ("a", *GOOD), ("b", f"/m/1{number}", *GOOD[1:]), *lines]
            )
    return paths


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photos")


@pytest.mark.heavy
@settings(max_examples=15)
@given(TABLES, st.integers(1, 3), st.sampled_from([0, 0, 4, 2]), st.integers(1, 4))
def test_every_row_of_any_table_ends_in_exactly_one_place(
    make: Make,
    jpeg: Callable[..., bytes],
    photos: Path,
    tables: list[list[tuple[str, ...]]],
    draws: int,
    limit: int,
    photos_per_unit: int,
) -> None:
    for name in ("a", "b", "c"):
        (photos / f"{name}.jpg").write_bytes(jpeg((WIDTH, HEIGHT)))
    folder = Path(mkdtemp(dir=photos.parent))
    paths = write_tables(folder, tables)
    changes = {"limit": limit, "photos_per_unit": photos_per_unit, "keep_source": False, "min_box_px": MIN_BOX_PX}
    changes["max_malformed"] = 1.0
    inputs = {"boxes": tuple(map(str, paths)), "images": (str(photos),), "image_info": (), "classes": ""}
    filters = ("area", "group_of")
    make(folder / "d", draws=draws, filters=filters, split_shares=(0.5, 0.3, 0.2), **changes, **inputs)
    rows, ends, totals = check_accounts(folder / "d", paths, draws=draws)
    assert expected_drops(rows) == ends.dropped
    planned = {image for image, *_ in [*ends.samples, *ends.dropped_draws]}
    kept = {image for image, box in rows.boxes if (image, box) not in ends.dropped}
    assert len(planned) == min(limit or len(kept), len(kept))
    assert totals["photos_beyond_limit"] == len(kept - planned)
    assert ends.lost_photos == planned - {"a", "b", "c"}
    small = {key for key, reason in ends.dropped_draws.items() if reason == "draw/box_too_small"}
    assert small == {
        (image, box, draw)
        for image, box, draw in [*ends.samples, *ends.dropped_draws]
        if rows.boxes[image, box]["XMax"] == "0.15" and image not in ends.lost_photos
    }
    assert problems(folder / "d") == []


@pytest.mark.heavy
def test_every_row_of_a_real_table_ends_in_exactly_one_place_and_denied_ones_in_no_sample(
    make: Make, real_data: Path, tmp_path: Path
) -> None:
    folder, out = real_data / "openimages_v6_train100", tmp_path / "d"
    table = folder / "oidv6-train-annotations-bbox.csv"
    denied = list(read_rows([table]).boxes.items())[::9]
    photo = denied[0][0][0]
    boxes = [{**row, "image_id": name, "box_id": box_id, "label": row["LabelName"]} for (name, box_id), row in denied]
    write_tagged(tmp_path / "tagged.csv", [*boxes, {"image_id": photo}])
    inputs = {"boxes": (str(table),), "images": (str(folder / "train"),), "image_info": ()}
    inputs |= {"classes": str(folder / "class-descriptions-boxable.csv"), "deny": str(tmp_path / "tagged.csv")}
    make(out, draws=2, photos_per_unit=20, filters=("clean",), limit=60, **inputs)
    _, ends, totals = check_accounts(out, [table], draws=2)
    assert totals["rows"] == 948
    assert totals["boxes_beyond_limit"] > 0 and len(ends.samples) > 100
    assert totals["filtered"]["denied"] > 10
    taken = {(image_id, box_id) for image_id, box_id, _ in ends.samples}
    assert not taken & dict(denied).keys() and photo not in {image_id for image_id, _ in taken}
    assert problems(out) == []


def test_a_lost_box_drop_stops_the_job_before_its_manifest(make: Make, tmp_path: Path) -> None:
    job = make(tmp_path, finish=False)
    path = Path(job.out.path("drops/boxes-00000.parquet"))
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(InputError, match=r"drops/boxes-\*\.parquet: .* remove run/plan"):
        make(tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    Folder(str(tmp_path)).remove("run/plan")
    make(tmp_path)
    assert problems(tmp_path) == []
