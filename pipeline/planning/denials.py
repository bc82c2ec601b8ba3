"""Denials: a partition of boxes and of rows of --deny -> which boxes are denied, and what became of each row."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.planning.spill import HASH_COLUMN
from schemas.boxes import COORDINATE_COLUMNS, ID_COLUMN, LABEL_COLUMN
from schemas.tagged import TAGGED_BOX_ID, TAGGED_ID, TAGGED_LABEL

# What becomes of a row of --deny: it takes a box out; its boxes have been dropped already; the tables hold no such box.
USED, IDLE, ABSENT = "used", "idle", "absent"


@dataclass(frozen=True)
class Denials:
    """Which rows of a partition are denied: [n], and what became of the rows of --deny."""

    boxes: NDArray[np.bool_]
    uses: Counter[str]


def find_denied(
    rows: pa.Table,
    denied: pa.Table,
    *,
    photo: NDArray[np.int64],
    first_of: NDArray[np.int64],
    malformed: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    url: str,
) -> Denials:
    """Find the boxes that rows of --deny name.

    Args:
        rows: a partition of BOXES with their hashes, sorted by hash.
        denied: the same partition of DENIED, sorted by hash.
        photo: [n] the photo of each row, numbered in this order.
        first_of: [n] the row itself, or the first of those that it repeats: a row that names the one names the other.
        malformed: [n] rows that cannot be compared.
        kept: [n] rows that no rule has dropped yet.
        url: of the file.

    Raises:
        InputError: a row has another box than the table.
    """
    if not len(denied) or not len(rows):
        return Denials(np.zeros(len(rows), bool), +Counter({ABSENT: len(denied)}))
    # A photo is found by its hash, and its box by counting from the photo's first row: box ids are ordinals.
    first_row = np.flatnonzero(np.diff(photo, prepend=-1))
    photo_hash = rows[HASH_COLUMN].to_numpy()[first_row]
    place = np.minimum(np.searchsorted(photo_hash, denied[HASH_COLUMN].to_numpy()), len(photo_hash) - 1)
    same_id = pc.equal(rows[ID_COLUMN].take(pa.array(first_row[place])), denied[TAGGED_ID]).to_numpy()
    boxes_of_photo = np.diff(first_row, append=len(rows))
    box_id = pc.fill_null(denied[TAGGED_BOX_ID], -1).to_numpy().astype(np.int64)
    whole_photo = box_id < 0
    there = same_id & (box_id < boxes_of_photo[place])
    row = first_of[np.where(there & ~whole_photo, first_row[place] + box_id, 0)]

    compared = np.flatnonzero(there & ~whole_photo & ~malformed[row])
    _refuse_other_boxes(rows.take(pa.array(row[compared])), denied.take(pa.array(compared)), url)

    photo_denied, photo_has_kept = np.zeros((2, len(first_row)), bool)
    photo_denied[place[there & whole_photo]] = True
    photo_has_kept[photo[kept]] = True
    boxes = photo_denied[photo]
    boxes[row[there & ~whole_photo]] = True
    used = there & np.where(whole_photo, photo_has_kept[place], kept[row])
    counts = {USED: used.sum(), IDLE: (there & ~used).sum(), ABSENT: (~there).sum()}
    return Denials(boxes, +Counter({use: int(count) for use, count in counts.items()}))


def _refuse_other_boxes(boxes: pa.Table, denied: pa.Table, url: str) -> None:
    """Refuse rows that name a box of other tables, or of these tables in another order.

    Args:
        boxes: [n] BOXES.
        denied: [n] DENIED, the row about each.

    Raises:
        InputError: a row has another label or, in float32, as indexes hold it, another box.
    """
    labels = denied[TAGGED_LABEL]
    other = pc.and_(pc.not_equal(labels, ""), pc.not_equal(labels, boxes[LABEL_COLUMN])).to_numpy()
    for name in COORDINATE_COLUMNS:
        other = other | (denied[name].to_numpy().astype(np.float32) != boxes[name].to_numpy().astype(np.float32))
    if not other.any():
        return
    first = min(np.flatnonzero(other), key=lambda position: denied["line"][int(position)].as_py())
    there, here = (table.slice(int(first), 1).to_pylist()[0] for table in (denied, boxes))
    raise InputError(
        f"--deny {url}: line {there['line']}: box {there[TAGGED_BOX_ID]} of photo {there[TAGGED_ID]} is "
        f"{_describe(there, TAGGED_LABEL)} there and {_describe(here, LABEL_COLUMN)} in the tables; give a list made "
        "from these tables, or take the row out"
    )


def _describe(box: dict[str, object], label: str) -> str:
    return " ".join([str(box[label]) or "(no label)", *(f"{name}={box[name]}" for name in COORDINATE_COLUMNS)])
