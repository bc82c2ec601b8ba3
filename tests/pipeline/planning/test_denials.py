import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.boxes.denied import DeniedBoxes, read_denied
from pipeline.errors import InputError
from pipeline.planning import plan as plan_module
from pipeline.planning.denials import ABSENT, IDLE, USED
from schemas.tagged import TAGGED_COLUMNS
from tests.pipeline.planning.test_plan import FIELDS, image_id, rows, run

Table = list[tuple[str, ...]]
Denial = tuple[str, int | None]

denials = st.lists(
    st.tuples(image_id.filter(bool), st.one_of(st.none(), st.integers(0, 4))), min_size=1, max_size=20, unique=True
)


def boxes_of(table: Table) -> dict[str, list[dict[str, str]]]:
    """The rows of each photo, by box id."""
    photos = defaultdict(list)
    for row in table:
        photos[row[0]].append(dict(zip(FIELDS, row, strict=True)))
    return photos


def deny(folder: Path, table: Table, denied: list[Denial], **changes: Any) -> DeniedBoxes:
    """Write and read a list of boxes, each as the table has it but for changes; what it has no number for as NaN."""
    path = folder / "tagged.csv"
    photos = boxes_of(table)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, TAGGED_COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        for name, box_id in denied:
            row: dict[str, Any] = {}
            if box_id is not None:
                known = box_id < len(photos[name])
                row = photos[name][box_id] if known else dict.fromkeys(("XMin", "YMin", "XMax", "YMax"), "0.5")
                row = {key: "nan" if value in ("x", "") else value for key, value in row.items()}
                row = {**row, "label": row.get("LabelName", ""), **changes}
            writer.writerow({**row, "image_id": name, "box_id": "" if box_id is None else box_id})
    return read_denied(str(path))


def first_of_equals(table: Table, drops: list[dict[str, Any]]) -> dict[tuple[str, int], tuple[str, int]]:
    """For each row that repeats another, the first of these; what is malformed by itself repeats nothing."""
    photos = boxes_of(table)
    reasons = {(drop["image_id"], drop["box_id"]): drop["reason"] for drop in drops if drop["stage"] == "boxes"}
    firsts: dict[tuple[str, ...], tuple[str, int]] = {}
    found = {}
    for name, boxes in photos.items():
        for box_id, row in enumerate(boxes):
            if reasons.get((name, box_id), "duplicate") == "duplicate":
                found[name, box_id] = firsts.setdefault((name, *list(row.values())[1:6]), (name, box_id))
    return found


@pytest.mark.heavy
@settings(max_examples=60)
@given(rows, denials, st.sampled_from([60, 1 << 20]))
def test_denied_boxes_are_those_of_the_list_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, table: Table, denied: list[Denial], partition_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("deny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "PARTITION_BYTES", partition_bytes)
        free, free_units, free_drops = run(folder, table)
        plan, units, drops = run(folder, table, denied=deny(folder, table, denied))

    # The plain form: of what other rules keep, out goes what a row names, or whose photo one names.
    kept = {(row["image_id"], row["box_id"]) for unit in free_units for row in unit["rows"]}
    first = first_of_equals(table, free_drops)
    named = {first.get(place, place) for place in denied}  # type: ignore[arg-type]
    out = {place for place in kept if place in named or (place[0], None) in named}
    assert {(row["image_id"], row["box_id"]) for unit in units for row in unit["rows"]} == kept - out
    taken = [(drop["image_id"], drop["box_id"]) for drop in drops if drop["reason"] == "denied"]
    assert len(taken) == len(out) and set(taken) == out
    assert +Counter(plan.filtered) == +(Counter(free.filtered) + Counter(denied=len(out)))
    others = [str(drop) for drop in drops if drop["reason"] not in ("denied", "no_kept_box")]
    assert sorted(others) == sorted(str(drop) for drop in free_drops if drop["reason"] != "no_kept_box")

    # And a row is of use where it takes a box out.
    photos = boxes_of(table)
    uses = Counter[str]()
    for name, box_id in denied:
        known = bool(photos[name]) if box_id is None else box_id < len(photos[name])
        row = first.get((name, box_id), (name, box_id))[1] if box_id is not None else None
        used = any(name == place[0] and row in (None, place[1]) for place in out)
        uses[USED if used else IDLE if known else ABSENT] += 1
    assert plan.deny_rows == uses


def one_box(*sides: str) -> Table:
    return [("a", "/m/1", *sides, "0"), ("b", "/m/1", "0.2", "0.8", "0.2", "0.8", "0")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"YMax": "0.71"}, "box 0 of photo a is /m/1 XMin=0.1 YMin=0.3 XMax=0.5 YMax=0.71 there and /m/1 XMin=0.1"),
        ({"XMin": "nan"}, "XMin=nan"),
        ({"label": "/m/2"}, "is /m/2 XMin=0.1 YMin=0.3 XMax=0.5 YMax=0.7 there and /m/1 XMin=0.1"),
    ],
)
def test_a_row_whose_box_is_not_the_tables_is_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    table = one_box("0.1", "0.5", "0.3", "0.7")
    denied = deny(tmp_path, table, [("b", None), ("a", 0)], **changes)
    with pytest.raises(InputError) as refusal:
        run(tmp_path, table, denied=denied)
    assert f"{denied.url}: line 3: " in str(refusal.value) and said in str(refusal.value)
    assert "give a list made from these tables, or take the row out" in str(refusal.value)


@pytest.mark.heavy
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.booleans())
def test_a_box_as_an_index_holds_it_is_the_tables(
    tmp_path_factory: pytest.TempPathFactory, sides: list[float], shortest: bool
) -> None:
    folder = tmp_path_factory.mktemp("deny")
    x_min, x_max, y_min, y_max = sides
    table = one_box(*map(repr, sides))
    stored = dict(zip(("XMin", "XMax", "YMin", "YMax"), np.float32([x_min, x_max, y_min, y_max]), strict=True))
    written = {name: str(side) if shortest else repr(float(side)) for name, side in stored.items()}
    plan, _, _ = run(folder, table, rules=(), denied=deny(folder, table, [("a", 0)], **written, label=""))
    assert plan.deny_rows in ({USED: 1}, {IDLE: 1})  # idle where the box is empty
