"""Box fates: the boxes of a partition, and denials -> kept boxes, drops and counts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.boxes.denied import DENIED_RULE
from pipeline.boxes.filters import first_rule_position
from pipeline.boxes.malformed import DUPLICATE, MALFORMED, malformed_position
from pipeline.errors import InputError
from pipeline.planning.denials import find_denied
from pipeline.planning.hashing import U64
from pipeline.planning.repeats import first_of_equals
from pipeline.planning.row_counts import Judged, PlanInputs
from pipeline.planning.spill import HASH_COLUMN
from schemas.boxes import COORDINATE_COLUMNS, FLAG_COLUMNS, ID_COLUMN, LABEL_COLUMN
from schemas.drops import DROPS, Drop


def judge(rows: pa.Table, denied: pa.Table, inputs: PlanInputs) -> Judged:
    """Number each photo's boxes, and part the rows into kept boxes and DROPS.

    Args:
        rows: a partition of BOXES with their hashes, sorted by hash.
        denied: the same partition of DENIED.

    Raises:
        InputError: two image ids have the same hash, or a row of --deny has another box than its table.
    """
    # In rows sorted by the hash of their image id, each photo is one run: `photo` numbers the runs, and `box_id` the
    # rows within each, in input order and before any box is dropped.
    ids = rows[ID_COLUMN].combine_chunks()
    starts = _starts(ids, rows[HASH_COLUMN].to_numpy())
    first_row = np.flatnonzero(starts)
    photo = np.cumsum(starts) - 1
    box_id = (np.arange(len(rows)) - first_row[photo]).astype(np.int32)

    # What is malformed is not filtered: its numbers mean nothing, or count twice.
    malformed = malformed_position(rows)
    first_of = np.arange(len(rows))
    if not inputs.equal_boxes:
        first_of = first_of_equals(rows, photo=photo, comparable=malformed < 0)
        malformed[first_of < np.arange(len(rows))] = MALFORMED.index(DUPLICATE)
    filtered = np.where(malformed < 0, first_rule_position(rows, list(inputs.rules)), -1)
    keep = (malformed < 0) & (filtered < 0)

    # Denial is the last rule: it takes out what the others have kept.
    url = inputs.denied.url if inputs.denied else ""
    denials = find_denied(rows, denied, photo=photo, first_of=first_of, malformed=malformed >= 0, kept=keep, url=url)
    filtered[keep & denials.boxes] = len(inputs.rules)
    keep &= ~denials.boxes

    # Rows without an image id form a run, but belong to no photo, and get no box id.
    nameless = malformed == MALFORMED.index("no_image_id")
    is_photo = ~nameless[first_row]
    has_kept_box = np.zeros(len(first_row), bool)
    has_kept_box[photo[keep]] = True
    photos_without_kept_box = ids.take(pa.array(first_row[is_photo & ~has_kept_box]))

    rows = rows.append_column("box_id", pa.array(box_id, mask=nameless)).append_column("photo", pa.array(photo))
    dropped = ~keep
    rule_names = [*(rule.name for rule in inputs.rules), DENIED_RULE]
    box_drops = _box_drops(
        rows.filter(pa.array(dropped)),
        malformed=_names_at(malformed[dropped], MALFORMED),
        filtered=_names_at(filtered[dropped], rule_names),
    )
    return Judged(
        kept=rows.filter(pa.array(keep)),
        drops=pa.concat_tables([box_drops, _photo_drops(photos_without_kept_box)]),
        malformed=_count(malformed, MALFORMED),
        filtered=_count(filtered, rule_names),
        photos=int(is_photo.sum()),
        photos_without_kept_box=len(photos_without_kept_box),
        deny_rows=denials.uses,
    )


def write_drops(drops: pa.Table, first: list[Drop], path: Path) -> None:
    """Write DROPS to a local file, some of them before the others."""
    pq.write_table(pa.concat_tables([pa.Table.from_pylist(first, schema=DROPS), drops]), path)


def _starts(ids: pa.Array, hashes: U64) -> NDArray[np.bool_]:
    """Mark the first row of each photo in rows sorted by hash.

    Raises:
        InputError: two ids have the same 64-bit hash; another seed parts them.
    """
    starts = np.ones(len(hashes), bool)
    starts[1:] = hashes[1:] != hashes[:-1]
    if len(hashes) > 1:
        same_id = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False)
        if not (same_id | starts[1:]).all():
            clash = int(np.flatnonzero(~(same_id | starts[1:]))[0])
            raise InputError(f"ids {ids[clash]} and {ids[clash + 1]} share a hash; give another --seed")
    return starts


def _names_at(positions: NDArray[np.int8], names: Sequence[str]) -> pa.Array:
    """Look up the name at each position; null where it is -1."""
    return pa.array(names, pa.string()).take(pa.array(positions, pa.int8(), mask=positions < 0))


def _count(positions: NDArray[np.int8], names: Sequence[str]) -> Counter[str]:
    """Count rows by the name at their position; -1 has none."""
    counted = np.bincount(positions[positions >= 0], minlength=len(names)).tolist()
    total = Counter[str]()
    for name, count in zip(names, counted, strict=True):
        total[name] += count  # two rules may share a name
    return +total


def _box_drops(dropped: pa.Table, *, malformed: pa.Array, filtered: pa.Array) -> pa.Table:
    """Make DROPS of dropped rows; a malformed row's values are its detail.

    Args:
        malformed: [n] why each row is malformed, or null.
        filtered: [n] the rule that drops it otherwise.
    """
    stage = pc.if_else(pc.is_valid(malformed), "boxes", "filter")
    shown = (LABEL_COLUMN, *COORDINATE_COLUMNS, *FLAG_COLUMNS)
    details = np.full(len(dropped), "", object)
    malformed_rows = np.flatnonzero(pc.is_valid(malformed).to_numpy(zero_copy_only=False))
    for row, values in zip(malformed_rows, dropped.take(malformed_rows).to_pylist(), strict=True):
        details[row] = " ".join(f"{name}={values[name]}" for name in shown)
    columns = [stage, dropped[ID_COLUMN], dropped["box_id"], pa.nulls(len(dropped), pa.int32())]
    reasons = pc.coalesce(malformed, filtered)
    return pa.Table.from_arrays([*columns, reasons, pa.array(details, pa.string())], schema=DROPS)


def _photo_drops(ids: pa.Array) -> pa.Table:
    """Make DROPS of photos none of whose boxes was kept."""
    n = len(ids)
    columns = [pa.array(["filter"] * n, pa.string()), ids, pa.nulls(n, pa.int32()), pa.nulls(n, pa.int32())]
    reason = pa.array(["no_kept_box"] * n, pa.string())
    return pa.Table.from_arrays([*columns, reason, pa.array([""] * n, pa.string())], schema=DROPS)
