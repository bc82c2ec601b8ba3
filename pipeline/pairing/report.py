"""Pair report: drops and PAIRS -> what the user should know of pairs that gave less than they might."""

import io
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.folder import Folder
from schemas.boxes import ID_COLUMN
from schemas.drops import DROPS
from schemas.shards import UnitRecord

SHOWN_DROPS = 10


def drop_lines(out: Folder, records: list[UnitRecord], table: pa.Table) -> Iterator[str]:
    """List which pairs were dropped, and why; each once, whatever the number of its draws."""
    reasons: dict[tuple[str, int, str], str] = {}
    for record in records:
        if record.dropped:
            for drop in pq.read_table(io.BytesIO(out.read(record.drops.name)), schema=DROPS).to_pylist():
                reasons.setdefault((drop["image_id"], drop["box_id"], drop["reason"]), drop["detail"])
    if not reasons:
        return
    pairs = {pair[:2] for pair in reasons}
    yield f"{len(pairs)} pairs were dropped from some or all draws (all: {out.url}/drops/units):"
    for (image_id, box_id, reason), detail in sorted(reasons.items())[:SHOWN_DROPS]:
        number = f" (mask {box_id + 1} of it)" if box_id else ""
        name = image_id if image_id.isprintable() else repr(image_id)
        yield f"  {name}{number}: {reason}{f': {detail}' if detail else ''}"


def not_drawn_line(table: pa.Table, *, draws: int) -> str:
    """Say how many pairs no draw takes, since their photo has more masks than there are draws."""
    masks = Counter(table[ID_COLUMN].to_pylist())
    left = sum(max(0, count - draws) for count in masks.values())
    if not left:
        return ""
    return (
        f"{left} pairs are in no draw: a photo has {max(masks.values())} masks; --draws {max(masks.values())} takes all"
    )
