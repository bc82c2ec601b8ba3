"""Judging: the boxes of a partition -> kept boxes, drops and counts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.boxes.filters import first_rule
from pipeline.boxes.malformed import MALFORMED, malformed_reason
from pipeline.errors import InputError
from pipeline.planning.hashing import U64
from pipeline.planning.row_counts import Judged, PlanInputs
from pipeline.planning.spill import HASH_COLUMN
from schemas.boxes import COORDINATE_COLUMNS, FLAG_COLUMNS, ID_COLUMN, LABEL_COLUMN
from schemas.drops import DROPS, Drop


def _starts(ids: pa.Array, hashes: U64) -> NDArray[np.bool_]:
    """Mark the first row of each photo in rows sorted by hash.

    Raises:
        InputError: two ids share a 64-bit hash, which another seed mends.
    """
    starts = np.ones(len(hashes), bool)
    starts[1:] = hashes[1:] != hashes[:-1]
    if len(hashes) > 1:
        same = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False)
        if not (same | starts[1:]).all():
            clash = int(np.flatnonzero(~(same | starts[1:]))[0])
            raise InputError(f"ids {ids[clash]} and {ids[clash + 1]} share a hash; give another --seed")
    return starts


def judge(rows: pa.Table, inputs: PlanInputs) -> Judged:
    """Number each photo's boxes, and part the rows into kept boxes and DROPS."""
    ids = rows[ID_COLUMN].combine_chunks()
    starts = _starts(ids, rows[HASH_COLUMN].to_numpy())
    first_row = np.flatnonzero(starts)
    photo = np.cumsum(starts) - 1
    box_id = (np.arange(len(rows)) - first_row[photo]).astype(np.int32)

    malformed = malformed_reason(rows)
    rule = first_rule(rows, list(inputs.rules))
    keep = (malformed < 0) & (rule < 0)
    names = [r.name for r in inputs.rules]
    nameless = malformed == MALFORMED.index("no_image_id")
    named = ~nameless[first_row]
    has_kept = np.zeros(len(first_row), bool)
    has_kept[photo[keep]] = True

    rows = rows.append_column("box_id", pa.array(box_id, mask=nameless)).append_column("photo", pa.array(photo))
    reasons = pa.array([*MALFORMED, *names]).take(
        pa.array(np.where(malformed >= 0, malformed, rule + len(MALFORMED))[~keep])
    )
    dropped = rows.filter(pa.array(~keep))
    drops = box_drops(dropped, stage=pc.if_else(pa.array(malformed[~keep] >= 0), "boxes", "filter"), reasons=reasons)
    lost = ids.take(pa.array(first_row[named & ~has_kept]))
    return Judged(
        kept=rows.filter(pa.array(keep)),
        drops=pa.concat_tables([drops, _photo_drops(lost)]),
        malformed=_count(malformed, MALFORMED),
        filtered=_count(np.where(malformed < 0, rule, -1), names),
        photos=int(named.sum()),
        photos_without_kept_box=int((named & ~has_kept).sum()),
    )


def _count(positions: NDArray[np.int8], names: Sequence[str]) -> Counter[str]:
    """Count rows by the name at their position; -1 has none."""
    counted = np.bincount(positions[positions >= 0], minlength=len(names)).tolist()
    total = Counter[str]()
    for name, count in zip(names, counted, strict=True):
        total[name] += count  # two rules may share a name
    return +total


def box_drops(dropped: pa.Table, *, stage: pa.Array, reasons: pa.Array) -> pa.Table:
    """Make DROPS of dropped rows; a malformed row's values are its detail."""
    malformed = np.flatnonzero(pc.equal(stage, "boxes").to_numpy(zero_copy_only=False))
    details = np.full(len(dropped), "", object)
    for row, values in zip(malformed, dropped.take(malformed).to_pylist(), strict=True):
        shown = (LABEL_COLUMN, *COORDINATE_COLUMNS, *FLAG_COLUMNS)
        details[row] = " ".join(f"{name}={values[name]}" for name in shown)
    columns = [stage, dropped[ID_COLUMN], dropped["box_id"], pa.nulls(len(dropped), pa.int32()), reasons]
    return pa.Table.from_arrays([*columns, pa.array(details, pa.string())], schema=DROPS)


def _photo_drops(ids: pa.Array) -> pa.Table:
    """Make DROPS of photos none of whose boxes was kept."""
    n = len(ids)
    columns = [pa.array(["filter"] * n, pa.string()), ids, pa.nulls(n, pa.int32()), pa.nulls(n, pa.int32())]
    reason = pa.array(["no_kept_box"] * n, pa.string())
    return pa.Table.from_arrays([*columns, reason, pa.array([""] * n, pa.string())], schema=DROPS)


def write_drops(drops: pa.Table, first: list[Drop], path: Path) -> None:
    pq.write_table(pa.concat_tables([pa.Table.from_pylist(first, schema=DROPS), drops]), path)
