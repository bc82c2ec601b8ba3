"""Pair report: drops, indexes and PAIRS -> what the user should know of pairs that gave less than they might."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.pairing.folder import some
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.boxes import ID_COLUMN
from schemas.drops import DROPS
from schemas.shards import UnitRecord

SHOWN_DROPS = 10
Place = tuple[str, int]  # of a pair: photo and number of the mask
Reasons = Mapping[Place, Mapping[str, str]]  # why draws of a pair were dropped, with details


def find_dropped(out: Folder, records: Sequence[UnitRecord]) -> Reasons:
    """Find the pairs that were dropped from some or all of their draws, each once."""
    dropped: dict[Place, dict[str, str]] = {}
    for record in records:
        if record.dropped:
            for drop in _read(out, record.drops.name, DROPS.names):
                reasons = dropped.setdefault((drop["image_id"], drop["box_id"]), {})
                reasons.setdefault(drop["reason"], drop["detail"])
    return dict(sorted(dropped.items()))


def drop_lines(out: Folder, dropped: Reasons) -> Iterator[str]:
    """List which pairs were dropped, and why."""
    if not dropped:
        return
    yield f"{len(dropped)} pairs were dropped from some or all draws (all: {out.url}/drops/units):"
    lines = [(place, reason, detail) for place, reasons in dropped.items() for reason, detail in reasons.items()]
    for place, reason, detail in lines[:SHOWN_DROPS]:
        yield f"  {_name(place)}: {reason}{f': {detail}' if detail else ''}"


def judge_drops(out: Folder, records: Sequence[UnitRecord], dropped: Reasons, *, most: float) -> str:
    """Say so where more pairs gave no sample at all than the share `most` of those that were drawn; else empty."""
    drawn = {
        (row["image_id"], row["box_id"])
        for record in records
        if record.index
        for row in _read(out, record.index.name, ["image_id", "box_id"])
    }
    lost = {place: reasons for place, reasons in dropped.items() if place not in drawn}
    pairs = len(lost) + len(drawn)
    if len(lost) <= most * pairs:
        return ""
    by_reason: dict[str, list[str]] = {}
    for place, reasons in lost.items():
        by_reason.setdefault(next(iter(reasons)), []).append(_name(place))
    ordered = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
    counts = "; ".join(f"{reason} {len(names)}: {some(names)}" for reason, names in ordered)
    return (
        f"--max-drops {most:g}: {len(lost)} of {pairs} pairs gave no sample ({counts}). The dataset is written "
        "without them; mend these pairs or take them out, and give another --out or --overwrite, or raise --max-drops"
    )


def not_drawn_line(table: pa.Table, *, draws: int) -> str:
    """Say how many pairs no draw takes, since their photo has more masks than there are draws."""
    masks = Counter(table[ID_COLUMN].to_pylist())
    left = sum(max(0, count - draws) for count in masks.values())
    if not left:
        return ""
    return (
        f"{left} pairs are in no draw: a photo has {max(masks.values())} masks; --draws {max(masks.values())} takes all"
    )


def _read(out: Folder, name: str, columns: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table_from(out.read(name), columns).to_pylist()
    return rows


def _name(place: Place) -> str:
    image_id, box_id = place
    number = f" (mask {box_id + 1} of it)" if box_id else ""
    return f"{image_id if image_id.isprintable() else repr(image_id)}{number}"
