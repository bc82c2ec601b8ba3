"""Box rows: box tables -> all rows of a seeded choice of photos, numbered as the plan numbers them, in one pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.boxes.hashed_files import TableDigest
from pipeline.boxes.tables import stream_boxes, stream_columns
from pipeline.errors import InputError
from pipeline.planning.hashing import U64, hash_strings
from pipeline.rng import seed_for
from pipeline.shards.recipe import Json
from schemas.boxes import BOXES, ID_COLUMN

HASH, BOX_ID = "hash", "box_id"
COMPACTED_BLOCKS = 16
Progress = Callable[[int], None]


@dataclass(frozen=True)
class BoxRows:
    """Rows of some photos.

    Args:
        table: BOXES with `box_id`, the row's ordinal within its photo, in the tables' order.
        rows: of all tables.
        everything: whether `table` holds the rows of all photos.
        nameless: rows without an image id or with a wrong number of fields: they belong to no photo.
    """

    table: pa.Table
    rows: int
    everything: bool
    nameless: int


def read_box_rows(
    tables: Sequence[str],
    *,
    inputs: Sequence[Json],
    limit: int,
    seed: int = 0,
    anonymous: bool = False,
    progress: Progress = lambda rows: None,
) -> BoxRows:
    """Read the rows of a seeded choice of photos. Memory holds these rows and one block.

    Args:
        inputs: the tables that the dataset's recipe names, with their digests.
        limit: photos; 0: all. A larger limit chooses the same photos and more.

    Raises:
        InputError: the tables are not those that the dataset was made from.
    """
    salt = seed_for(seed, "browse photos")
    kept, nameless, rows, digests = [_with_hash(BOXES.empty_table(), salt)], 0, 0, []
    smallest, bound, everything = np.zeros(0, np.uint64), np.uint64(2**64 - 1), True
    for url in tables:
        digest = TableDigest()
        for block in stream_boxes(url, digest, anonymous=anonymous):
            named = _with_hash(block.filter(pc.not_equal(block[ID_COLUMN], "")), salt)
            nameless += len(block) - len(named)
            hashes = named[HASH].to_numpy()
            # Of the photos seen so far those with the smallest hashes are kept, so that each row is looked at once.
            if limit:
                smallest = np.union1d(smallest, hashes[hashes <= bound])
                if len(smallest) > limit:
                    smallest, everything = smallest[:limit], False
                    bound = smallest[-1]
            kept.append(named.filter(pa.array(hashes <= bound)))
            if limit and len(kept) >= COMPACTED_BLOCKS:
                kept = [_below(pa.concat_tables(kept), bound)]
            progress(rows + digest.rows)
        rows += digest.rows
        nameless += len(digest.wrong_width)
        digests.append(digest.sha256)
    _refuse_others(tables, digests, inputs)
    return BoxRows(_numbered(_below(pa.concat_tables(kept), bound)), rows, everything, nameless)


def read_rotations(tables: Sequence[str], image_ids: Sequence[str], *, anonymous: bool = False) -> dict[str, float]:
    """Read the Rotation column of some photos, in degrees counter-clockwise; a photo without a number is left out."""
    rotations: dict[str, float] = {}
    for url in tables:
        columns = {ID_COLUMN: pa.string(), "Rotation": pa.string()}
        for block in stream_columns(url, columns, TableDigest(), anonymous=anonymous):
            for row in block.filter(pc.is_in(block[ID_COLUMN], value_set=pa.array(image_ids, pa.string()))).to_pylist():
                degrees = _number(row["Rotation"])
                if degrees is not None:
                    rotations.setdefault(row[ID_COLUMN], degrees)
    return rotations


def _with_hash(table: pa.Table, salt: int) -> pa.Table:
    return table.append_column(HASH, pa.array(hash_strings(table[ID_COLUMN].combine_chunks(), salt)))


def _below(table: pa.Table, bound: Any) -> pa.Table:
    return table.filter(pa.array(table[HASH].to_numpy() <= bound)).combine_chunks()


def _numbered(table: pa.Table) -> pa.Table:
    """Number each photo's rows in their order: the box ids of the plan."""
    hashes: U64 = table[HASH].to_numpy()
    order = np.argsort(hashes, kind="stable")
    starts = np.ones(len(order), bool)
    starts[1:] = hashes[order][1:] != hashes[order][:-1]
    first = np.flatnonzero(starts)
    box_id = np.empty(len(order), np.int32)
    box_id[order] = np.arange(len(order)) - first[np.cumsum(starts) - 1] if len(order) else 0
    return table.drop_columns([HASH]).append_column(BOX_ID, pa.array(box_id))


def _refuse_others(tables: Sequence[str], digests: Sequence[str], inputs: Sequence[Json]) -> None:
    wanted = [table["sha256"] for table in inputs if table["role"] == "boxes"]
    for url, digest in zip(tables, digests, strict=True):
        if digest not in wanted:
            raise InputError(f"--boxes {url}: not the table that the dataset was made from (another sha256)")
    if len(tables) != len(wanted):
        raise InputError(f"--boxes: {len(tables)} tables, the dataset was made from {len(wanted)}; give all of them")


def _number(text: str | None) -> float | None:
    """Read a Rotation; what is empty or not a finite number says nothing."""
    try:
        degrees = float((text or "").strip())
    except ValueError:
        return None
    return degrees if np.isfinite(degrees) else None
