"""Spilled tables: box and image-info tables, DENIED and PLACES -> partitions on local disk, by hash of the photo."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ahead import work_ahead
from pipeline.boxes.denied import DENIED
from pipeline.boxes.hashed_files import TableDigest
from pipeline.boxes.listing import refuse_copy
from pipeline.boxes.tables import stream_boxes, stream_columns
from pipeline.errors import InputError
from pipeline.photos.id_forms import IdForms, forms_of
from pipeline.planning.hashing import U64
from pipeline.planning.row_counts import Plan, PlanInputs
from pipeline.planning.spill import Spill, partitioned
from schemas.boxes import BOXES, ID_COLUMN
from schemas.drops import Drop
from schemas.plan import PLACES
from schemas.tagged import TAGGED_ID

NO_ROTATION = pa.array([None, "", "nan", "na", "n/a", "null", "none"])
ROTATIONS = pa.schema([pa.field("image_id", pa.string()), pa.field("rotation", pa.float32())])


def spill_boxes(
    inputs: PlanInputs,
    plan: Plan,
    folder: Path,
    hash_ids: Callable[[pa.Array], U64],
    partitions: int,
    progress: Callable[[int], None],
) -> tuple[Spill, list[Drop], IdForms]:
    """Spill all rows of the box tables, and count and digest them in the plan.

    Returns:
        The partitions, the rows that have too many or too few fields to be spilled, and what the ids look like.
    """
    spill = Spill(folder, BOXES, partitions=partitions)
    wrong_width: list[Drop] = []
    seen: dict[str, str] = {}  # by digest

    forms = IdForms()

    def order(table: pa.Table) -> tuple[pa.Table, NDArray[np.int64], IdForms]:
        ids = table[ID_COLUMN].combine_chunks()
        return *partitioned(table, hash_ids(ids), partitions=partitions), forms_of(ids)

    with ThreadPoolExecutor(1) as pool:
        for url in inputs.tables:
            digest = TableDigest()
            blocks = stream_boxes(url, digest, anonymous=inputs.anonymous)
            for table, bounds, found in work_ahead(pool, order, blocks, ahead=1):
                spill.add(table, bounds)
                forms |= found
                progress(plan.rows + digest.rows)
            plan.rows += digest.rows
            wrong_width += digest.wrong_width
            refuse_copy("--boxes", seen.setdefault(digest.sha256, url), url)
            plan.inputs.append({"role": "boxes", **_digest_fields(digest)})
    spill.close()
    if wrong_width:
        plan.malformed["wrong_field_count"] = len(wrong_width)
    return spill, wrong_width, forms


def _digest_fields(digest: TableDigest) -> dict[str, Any]:
    return {"bytes": digest.bytes, "rows": digest.rows, "sha256": digest.sha256}


def spill_rotations(
    inputs: PlanInputs, plan: Plan, folder: Path, hash_ids: Callable[[pa.Array], U64], partitions: int
) -> Spill:
    """Spill the Rotation column of the image-info tables; a photo without a number there is left out."""
    spill = Spill(folder, ROTATIONS, partitions=partitions)
    seen: dict[str, str] = {}
    for url in inputs.image_info:
        digest = TableDigest()
        columns = {ID_COLUMN: pa.string(), "Rotation": pa.string()}
        for table in stream_columns(url, columns, digest, anonymous=inputs.anonymous):
            ids = table[ID_COLUMN].combine_chunks()
            if ids.null_count == len(ids):
                raise InputError(f"{url}: column {ID_COLUMN} is missing or empty; give an image-info table")
            number = _read_rotations(url, ids, table["Rotation"].combine_chunks())
            table = pa.table({"image_id": ids, "rotation": number}).filter(pc.is_valid(number))
            spill.add(*partitioned(table, hash_ids(table["image_id"].combine_chunks()), partitions=partitions))
        refuse_copy("--image-info", seen.setdefault(digest.sha256, url), url)
        if not digest.rows:
            raise InputError(f"{url}: no rows; give an image-info table with {ID_COLUMN} and Rotation")
        plan.inputs.append({"role": "image_info", **_digest_fields(digest)})
    spill.close()
    return spill


def _read_rotations(url: str, ids: pa.Array, column: pa.Array) -> pa.Array:
    """Read Rotations in degrees; null where one is empty or NaN: it says nothing, and EXIF then decides.

    Raises:
        InputError: one is neither that nor a number.
    """
    text = pc.utf8_trim_whitespace(column)
    number = pc.if_else(pc.match_substring_regex(text, r"^[+-]?\d+(\.\d*)?$"), text, None).cast(pa.float32())
    number = pc.if_else(pc.is_finite(number), number, None)
    unknown = pc.is_in(pc.utf8_lower(text), value_set=NO_ROTATION)
    odd = pc.and_(pc.is_null(number), pc.invert(unknown)).index(True).as_py()
    if odd >= 0:
        raise InputError(
            f"{url}: photo {ids[odd]}: Rotation {text[odd].as_py()!r} is no number of degrees; give one, or nothing"
        )
    return number


def spill_denied(inputs: PlanInputs, folder: Path, hash_ids: Callable[[pa.Array], U64], partitions: int) -> Spill:
    """Spill the rows of --deny, if it is given."""
    spill = Spill(folder, DENIED, partitions=partitions)
    if inputs.denied:
        rows = inputs.denied.rows
        spill.add(*partitioned(rows, hash_ids(rows[TAGGED_ID].combine_chunks()), partitions=partitions))
    spill.close()
    return spill


def spill_places(
    places: Iterable[pa.Table], folder: Path, hash_ids: Callable[[pa.Array], U64], partitions: int
) -> Spill:
    """Spill where photos lie in tar files and local folders."""
    spill = Spill(folder, PLACES, partitions=partitions)
    for table in places:
        spill.add(*partitioned(table, hash_ids(table["image_id"].combine_chunks()), partitions=partitions))
    spill.close()
    return spill
