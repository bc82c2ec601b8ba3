"""Totals: plan and records -> counts, and the sums that must hold (conservation)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.planning.row_counts import Plan
from pipeline.shards.kept_boxes import PHOTOS_BY_BOXES, boxes_drawn
from pipeline.shards.recipe import Json
from schemas.shards import (
    SPLITS,
    UnitRecord,
)

JITTERED = "samples_jittered"  # of the totals of a dataset with --colour-jitter


def count_drops(drops: pa.Table) -> dict[str, int]:
    """Count DROPS by `stage/reason`."""
    counts = join_columns(drops, "stage", "reason").value_counts()
    return {count["values"]: count["counts"] for count in counts.to_pylist()}


def join_columns(table: pa.Table, first: str, second: str) -> pa.ChunkedArray:
    """Join two columns as text, `first/second`."""
    # Neither `group_by` nor a scalar "/" will do: both import pandas, where it is installed, and that takes as long as
    # all the rest of a start.
    rows = len(table)
    ends = pa.py_buffer(np.arange(rows + 1, dtype=np.int32))
    slashes = pa.StringArray.from_buffers(rows, ends, pa.py_buffer(b"/" * rows))
    columns = [table[name].cast(pa.string()) for name in (first, second)]
    return pc.binary_join_element_wise(*columns, slashes, null_handling="replace")


def photos_lost_by_reason(totals: Json, draws: int) -> dict[str, int]:
    """Count lost photos by reason, from the totals alone: each is a drop of every draw."""
    dropped = totals["draws_dropped"].items()
    return {name.removeprefix("photo/"): count // draws for name, count in dropped if name.startswith("photo/")}


def describe_counts(counts: Mapping[str, int]) -> str:
    """Describe counts by reason, the greatest first: `missing 2, truncated 1`."""
    return ", ".join(f"{reason} {count:,}" for reason, count in Counter(counts).most_common())


def units_at_odds(records: Iterable[UnitRecord]) -> list[list[UnitRecord]]:
    """Find the units whose draws did not lose the same photos, as far as their counts show.

    Args:
        records: in order.

    Returns:
        The records of each.
    """
    units = [list(draws) for _, draws in groupby(records, key=lambda record: record.unit)]
    return [draws for draws in units if any(_losses(record) != _losses(draws[0]) for record in draws)]


def _losses(record: UnitRecord) -> tuple[int, int, dict[str, int]]:
    by_reason = {name: count for name, count in record.dropped.items() if name.startswith("photo/")}
    return record.photos_lost, record.boxes_lost, by_reason


def box_drops_of(totals: Json) -> dict[str, int]:
    """Return the drops before units that the totals imply, by `stage/reason`."""
    counts = {f"boxes/{reason}": count for reason, count in totals["malformed"].items()}
    counts |= {f"filter/{rule}": count for rule, count in totals["filtered"].items()}
    counts["filter/no_kept_box"] = totals["photos_without_kept_box"]
    return {name: count for name, count in counts.items() if count}


def count_totals(plan: Plan, records: Iterable[UnitRecord], draws: int) -> Json:
    """Add up what became of every row, box, photo and draw."""
    sums = sum_records(records)
    drawn, lost = sums["boxes_drawn"], sums["boxes_in_lost_photos"]
    return {
        "rows": plan.rows,
        "malformed": plan.malformed,
        "filtered": plan.filtered,
        "boxes_kept": plan.kept,
        "boxes_beyond_limit": plan.boxes_beyond_limit,
        "boxes_drawn": drawn,
        "boxes_not_drawn": plan.boxes_planned - drawn - lost,
        "boxes_in_lost_photos": lost,
        "photos": plan.photos,
        "photos_without_kept_box": plan.photos_without_kept_box,
        "photos_beyond_limit": plan.photos_beyond_limit,
        "photos_planned": plan.photos_planned,
        "photos_lost": sums["photos_lost"],
        "units": plan.units,
        "draws_planned": plan.photos_planned * draws,
        "draws_dropped": sums["draws_dropped"],
        "samples": sums["samples"],
        "samples_by_split": sums["samples_by_split"],
        **{name: sums[name] for name in sums if name == JITTERED},
    }


def sum_records(records: Iterable[UnitRecord]) -> Json:
    """Add up what the records alone say, under the names of the totals."""
    records = list(records)
    first = [record for record in records if record.draw == 0]
    jittered = [record.jittered for record in records if record.jittered is not None]
    dropped: Counter[str] = Counter()
    for record in records:
        dropped.update(record.dropped)
    return {
        "units": len(first),
        "photos_planned": sum(record.photos for record in first),
        "photos_lost": sum(record.photos_lost for record in first),
        "boxes_drawn": sum(record.boxes_drawn for record in records),
        "boxes_in_lost_photos": sum(record.boxes_lost for record in first),
        "draws_planned": sum(record.planned for record in records),
        "draws_dropped": dict(sorted(dropped.items())),
        "samples": sum(record.samples for record in records),
        "samples_by_split": {
            split: sum(record.samples for record in records if record.split == split) for split in SPLITS
        },
        **({JITTERED: sum(jittered)} if jittered else {}),
    }


def sums_off(totals: Json, records: list[UnitRecord]) -> list[str]:
    """Check that nothing disappeared without a count, from rows to samples.

    Returns:
        The sums that are off, a line each.
    """
    malformed, filtered = sum(totals["malformed"].values()), sum(totals["filtered"].values())
    places = ("boxes_drawn", "boxes_not_drawn", "boxes_in_lost_photos", "boxes_beyond_limit")
    photos = ("photos_without_kept_box", "photos_beyond_limit", "photos_planned")
    in_units = sum(record.boxes_kept for record in records if record.draw == 0)
    dropped = sum(totals["draws_dropped"].values())
    sums = {
        "rows = malformed + filtered + boxes_kept": (totals["rows"], malformed + filtered + totals["boxes_kept"]),
        f"boxes_kept = {' + '.join(places)}": (totals["boxes_kept"], sum(totals[name] for name in places)),
        "boxes_kept = in units + boxes_beyond_limit": (totals["boxes_kept"], in_units + totals["boxes_beyond_limit"]),
        f"photos = {' + '.join(photos)}": (totals["photos"], sum(totals[name] for name in photos)),
        "draws_planned = samples + draws_dropped": (totals["draws_planned"], totals["samples"] + dropped),
        **{f"{name} = by the records": (totals[name], count) for name, count in sum_records(records).items()},
    }
    if photos_by_boxes := totals.get(PHOTOS_BY_BOXES):
        there = totals["photos_planned"] - totals["photos_lost"]
        kept = totals["boxes_drawn"] + totals["boxes_not_drawn"]
        sums[f"photos planned, not lost = {PHOTOS_BY_BOXES}"] = (there, sum(photos_by_boxes.values()))
        sums[f"boxes drawn + not drawn = {PHOTOS_BY_BOXES}"] = (kept, boxes_drawn(photos_by_boxes, kept))
    off = [f"{name}: {left} is not {right}" for name, (left, right) in sums.items() if left != right]
    return off + [f"{name} {totals[name]} is negative" for name in places if totals[name] < 0]
