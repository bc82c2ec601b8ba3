import csv
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.boxes.filters import parse_filters
from pipeline.errors import InputError
from pipeline.planning import plan as plan_module
from pipeline.planning.plan import make_plan
from pipeline.planning.plan_files import read_unit_boxes, read_units
from pipeline.planning.row_counts import Plan, PlanInputs
from pipeline.storage.folder import Folder

INPUTS = PlanInputs(
    tables=(),
    image_info=(),
    rules=tuple(parse_filters(("area", "group_of"))),
    seed=0,
    split_shares=(0.6, 0.2, 0.2),
    photos_per_unit=3,
    limit=0,
    anonymous=False,
)
FIELDS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")

share = st.sampled_from(["0.0", "0.1", "0.3", "0.5", "0.8", "1.0", "1.5", "x", ""])
image_id = st.sampled_from(
    ["a", "b", "c", "d", "ee/ee", "a name, quoted", "ü" * 30, "", *(f"{i:016x}" for i in range(8))]
)
rows = st.lists(
    st.tuples(image_id, st.sampled_from(["/m/1", "/m/2", ""]), share, share, share, share, st.sampled_from("01")),
    max_size=60,
)


def write_table(path: Path, table: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([FIELDS, *table])


def run(
    folder: Path, table: list[tuple[str, ...]], **changes: Any
) -> tuple[Plan, list[dict[str, Any]], list[dict[str, Any]]]:
    """Plan a table; give the plan, its units with their rows, and the drops."""
    write_table(folder / "boxes.csv", table)
    out = Folder(str(folder / "out"))
    plan = make_plan(replace(INPUTS, tables=(str(folder / "boxes.csv"),), **changes), places=lambda forms: [], out=out)
    units = []
    for unit in read_units(out).to_pylist():
        boxes = read_unit_boxes(out, file=unit["file"], row_group=unit["row_group"]).to_pylist()
        units.append({**unit, "rows": boxes})
    drops = [
        drop
        for part in range(plan.box_drop_files)
        for drop in pq.read_table(folder / f"out/drops/boxes-{part:05d}.parquet").to_pylist()
    ]
    return plan, units, drops


def many_photos(count: int) -> list[tuple[str, ...]]:
    return [
        (f"{i:016x}", "/m/1", "0.1", f"0.{j + 4}", "0.1", "0.9", "0") for i in range(count) for j in range(i % 4 + 1)
    ]


def repeats_of(table: list[tuple[str, ...]], drops: list[dict[str, Any]]) -> int:
    """Count the rows that repeat another, in plain Python, malformed ones aside."""
    bad = {(d["image_id"], d["box_id"]) for d in drops if d["stage"] == "boxes" and d["reason"] != "duplicate"}
    ordinals, boxes = Counter[str](), Counter[tuple[str, ...]]()
    for name, *fields, _ in table:
        if (name, ordinals[name]) not in bad and name:
            boxes[(name, *fields)] += 1
        ordinals[name] += 1
    return sum(count - 1 for count in boxes.values())


@settings(max_examples=40)
@given(rows)
def test_every_row_is_kept_once_or_dropped_once(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]]
) -> None:
    plan, units, drops = run(tmp_path_factory.mktemp("plan"), table)
    kept = Counter((row["image_id"], row["box_id"]) for unit in units for row in unit["rows"])
    lost = Counter((drop["image_id"], drop["box_id"]) for drop in drops if drop["box_id"] is not None)
    ordinals: dict[str, int] = defaultdict(int)
    expected: Counter[tuple[str, int]] = Counter()
    for name, *_ in table:
        if name:
            expected[name, ordinals[name]] += 1
            ordinals[name] += 1
    assert kept + lost == expected
    nameless = [d for d in drops if d["image_id"] == ""]
    assert len(nameless) == sum(not name for name, *_ in table)
    assert plan.rows == len(table)
    assert plan.kept == kept.total()
    assert sum(plan.malformed.values()) + sum(plan.filtered.values()) == lost.total() + len(nameless)
    assert plan.malformed.get("duplicate", 0) == repeats_of(table, drops)


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_where_a_photos_rows_stand_does_not_matter(tmp_path_factory: pytest.TempPathFactory, random: Any) -> None:
    table = many_photos(12)
    queues = defaultdict(list)
    for row in table:
        queues[row[0]].append(row)
    shuffled = []
    while queues:
        name = random.choice(sorted(queues))
        shuffled.append(queues[name].pop(0))
        if not queues[name]:
            del queues[name]
    folder = tmp_path_factory.mktemp("plan")
    assert run(folder, shuffled)[1] == run(folder, table)[1]


def test_the_number_of_partitions_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = run(tmp_path, many_photos(50))
    monkeypatch.setattr(plan_module, "PARTITION_BYTES", 300)
    several = run(tmp_path, many_photos(50))
    assert several[0].box_drop_files > 5
    assert several[1] == one[1]


def test_units_hold_one_split_and_are_full_but_for_each_splits_last(tmp_path: Path) -> None:
    plan, units, _ = run(tmp_path, many_photos(100))
    assert [unit["unit"] for unit in units] == list(range(plan.units))
    for split in ("train", "validation", "test"):
        sizes = [unit["photos"] for unit in units if unit["split"] == split]
        assert sizes[:-1] == [3] * (len(sizes) - 1)
        assert 1 <= sizes[-1] <= 3
    for unit in units:
        assert unit["photos"] == len({row["image_id"] for row in unit["rows"]})
        assert unit["boxes"] == len(unit["rows"])


def test_splits_follow_their_shares(tmp_path: Path) -> None:
    _, units, _ = run(tmp_path, many_photos(4000), photos_per_unit=100, split_shares=(0.7, 0.3, 0.0))
    photos = Counter[str]()
    for unit in units:
        photos[unit["split"]] += unit["photos"]
    assert photos["test"] == 0
    assert photos["train"] / 4000 == pytest.approx(0.7, abs=0.03)


def test_a_limit_takes_a_prefix_and_counts_the_rest(tmp_path: Path) -> None:
    plan, units, _ = run(tmp_path, many_photos(40))
    every_photo = {row["image_id"] for unit in units for row in unit["rows"]}
    for limit in (1, 7, 39):
        cut, cut_units, _ = run(tmp_path, many_photos(40), limit=limit)
        taken = {row["image_id"] for unit in cut_units for row in unit["rows"]}
        assert len(taken) == cut.photos_planned == limit
        assert cut.photos_beyond_limit == 40 - limit
        assert cut.boxes_beyond_limit + cut.boxes_planned == plan.kept
        assert taken < every_photo


def test_a_photos_draws_take_its_boxes_in_a_seeded_permutation(tmp_path: Path) -> None:
    table = [("a", "/m/1", "0.1", f"0.{j + 4}", "0.1", "0.9", "0") for j in range(6)]
    orders = set()
    for seed in range(20):
        _, units, _ = run(tmp_path, table, seed=seed)
        order = tuple(row["box_id"] for row in units[0]["rows"])
        assert sorted(order) == list(range(6))
        orders.add(order)
    assert len(orders) > 10


def test_the_split_of_a_photo_does_not_depend_on_other_photos(tmp_path: Path) -> None:
    def splits(count: int) -> dict[str, str]:
        _, units, _ = run(tmp_path, many_photos(count))
        return {row["image_id"]: unit["split"] for unit in units for row in unit["rows"]}

    few, many = splits(10), splits(60)
    assert few.items() <= many.items()


def test_rotation_is_joined_and_its_absence_stays_absence(tmp_path: Path) -> None:
    info = tmp_path / "info.csv"
    names = [f"{i:016x}" for i in range(5)]
    values = dict(zip(names, ["90.0", "", "nan", "0.0", "270"], strict=True))
    lines = [f'{name},"a title,\nin two lines",{value}' for name, value in values.items()]
    info.write_text("ImageID,Title,Rotation\nnot-a-photo,x,180\n" + "\n".join(lines[:4] + lines[4:]) + "\n")
    _, units, _ = run(tmp_path, many_photos(6), image_info=(str(info),))
    found = {row["image_id"]: row["rotation"] for unit in units for row in unit["rows"]}
    assert found == {names[0]: 90, names[1]: None, names[2]: None, names[3]: 0, names[4]: 270, f"{5:016x}": None}


def test_a_row_that_repeats_another_is_malformed_and_still_counted_by_box_ids(tmp_path: Path) -> None:
    box = ("0.1", "0.70000001", "0.1", "0.8", "0")
    table = [
        ("a", "/m/1", *box),
        ("a", "/m/2", *box),  # the same box under another label
        ("b", "/m/1", *box),  # and on another photo
        ("a", "/m/1", "0.1", "0.7", "0.10", "8e-1", "1"),  # equal in float32; its flags do not matter
        ("a", "/m/1", "-0.0", "0.7", "0.1", "0.8", "0"),
        ("a", "/m/1", "0.0", "0.7", "0.1", "0.8", "0"),
        ("a", "/m/1", "0.1", "0.7", "0.1", "0.8", "7"),  # malformed by itself
        ("a", "/m/1", "0.1", "0.7", "0.1", "0.9", "0"),
        ("b", "/m/3", "0.1", "0.11", "0.1", "0.11", "0"),  # dropped by a rule
        ("b", "/m/3", "0.1", "0.11", "0.1", "0.11", "0"),
    ]
    plan, units, drops = run(tmp_path, table)
    reasons = {(drop["image_id"], drop["box_id"]): drop["reason"] for drop in drops}
    duplicates = {place for place, reason in reasons.items() if reason == "duplicate"}
    assert duplicates == {("a", 2), ("a", 4), ("b", 2)}
    assert plan.malformed == {"duplicate": 3, "bad_flag": 1} and plan.filtered == {"area": 1}
    kept = {(row["image_id"], row["box_id"]) for unit in units for row in unit["rows"]}
    assert kept == {("a", 0), ("a", 1), ("a", 3), ("a", 6), ("b", 0)}
    same, *_ = run(tmp_path, table, equal_boxes=True)
    assert same.malformed == {"bad_flag": 1}


def test_a_photo_that_image_info_turns_in_two_ways_is_refused(tmp_path: Path) -> None:
    info, name = tmp_path / "info.csv", f"{0:016x}"
    info.write_text(f"ImageID,Rotation\nother,0\n{name},90\nother,90\n{name},450\n{name},\n")
    _, units, _ = run(tmp_path, many_photos(2), image_info=(str(info),))
    assert {row["rotation"] for unit in units for row in unit["rows"] if row["image_id"] == name} == {90}
    info.write_text(f"ImageID,Rotation\n{name},90\nother,0\n{name},0\n")
    with pytest.raises(InputError, match=f"--image-info: photo {name} has Rotation 90 in one row and 0 in another"):
        run(tmp_path, many_photos(2), image_info=(str(info),))


def test_photos_without_a_kept_box_are_listed(tmp_path: Path) -> None:
    plan, units, drops = run(tmp_path, [("a", "/m/1", "0.1", "0.11", "0.1", "0.11", "0"), *many_photos(1)])
    assert plan.photos_without_kept_box == 1
    assert ("a", None, "no_kept_box") in {(d["image_id"], d["box_id"], d["reason"]) for d in drops}
    assert len(units) == 1


def test_rules_of_one_name_are_counted_together(tmp_path: Path) -> None:
    table = [(name, f"/m/{i}", "0.1", "0.9", "0.1", "0.9", "0") for i, name in enumerate("abc")]
    plan, _, _ = run(tmp_path, table, rules=tuple(parse_filters(("deny=/m/0", "deny=/m/1"))))
    assert plan.filtered == {"deny": 2}


def test_an_image_info_table_without_rotation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "info.csv").write_text("ImageID,Author\na,b\n")
    with pytest.raises(InputError, match="Rotation"):
        run(tmp_path, many_photos(2), image_info=(str(tmp_path / "info.csv"),))


@pytest.mark.parametrize("rotation", ["90deg", "upright", "1" * 60, "9e1"])
def test_a_rotation_that_is_no_number_is_refused_naming_the_photo(tmp_path: Path, rotation: str) -> None:
    (tmp_path / "info.csv").write_text(f"ImageID,Rotation\na,NaN\nb,None\nc,{rotation}\nd,90\n")
    with pytest.raises(InputError, match=f"info.csv: photo c: Rotation '{rotation}' is no number of degrees"):
        run(tmp_path, many_photos(2), image_info=(str(tmp_path / "info.csv"),))
