"""Pair table: which files belong together -> PAIRS, with a digest of every file, kept in the output."""

import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError, PhotoError
from pipeline.pairing.folder import FORMS, Pair, some
from pipeline.photos.bounded_reads import read_picture
from pipeline.shards.manifest import read_recipe
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.boxes import COORDINATE_COLUMNS, ID_COLUMN, LABEL_COLUMN
from schemas.pairs import FILES, PAIRS, Repaint

KEPT = "run/pairs/{digest:.16}.parquet"
HASHERS = 8
# What makes a pair of the same photo and mask another one, and the columns that tell.
FIELDS = {**{name: [name, f"{name}_sha256"] for name in FILES}, "label": [LABEL_COLUMN], "repaint": ["repaint"]}


def tabulate(
    folder: Folder, pairs: Sequence[Pair], *, repaint: Repaint, progress: Callable[[int], object] = lambda pairs: None
) -> pa.Table:
    """Make PAIRS.

    Args:
        repaint: what of the masks is repainted.
        progress: called with the number of pairs read so far.

    Raises:
        InputError: no pair has both photo and mask.
        OSError: storage failed for a passing cause.
    """

    def row(pair: Pair) -> dict[str, object]:
        names = {name: getattr(pair, name) for name in FILES}
        digests = {f"{name}_sha256": _digest(folder, file) for name, file in names.items()}
        all_of_it = dict(zip(COORDINATE_COLUMNS, (0.0, 0.0, 1.0, 1.0), strict=True))
        return {ID_COLUMN: pair.image_id, LABEL_COLUMN: pair.label, **all_of_it, **names, "repaint": repaint, **digests}

    rows = []
    with ThreadPoolExecutor(HASHERS) as pool:
        for made in pool.map(row, pairs):
            rows.append(made)
            progress(len(rows))
    if not any(row["image_sha256"] and row["mask_sha256"] for row in rows):
        first = pairs[0]
        raise InputError(
            f"--pairs {folder.url}: none of {len(rows):,} pairs has both a photo and a mask that can be read "
            f"(first: {first.image} with {first.mask}); {FORMS}"
        )
    return pa.Table.from_pylist(rows, schema=PAIRS)


def keep_table(out: Folder, table: pa.Table) -> str:
    """Write PAIRS into the output, beside those of earlier runs, and give its URL."""
    content = io.BytesIO()
    pq.write_table(table, content)
    name = KEPT.format(digest=hashlib.sha256(content.getvalue()).hexdigest())
    if out.read_if_there(name) is None:  # a file untouched spares a new plan
        out.write(name, content.getvalue())
    return f"{out.url}/{name}"


def read_kept(out: Folder) -> pa.Table | None:
    """Read the PAIRS that an output began with; None where it was not made of pairs, or they are not known."""
    recipe = read_recipe(out)
    tables = (recipe or {}).get("inputs") or [{"sha256": ""}]
    kept = out.read_if_there(KEPT.format(digest=tables[0]["sha256"]))
    return table_from(kept, PAIRS.names).cast(PAIRS) if kept is not None else None


def describe_changes(out: Folder, table: pa.Table) -> str:
    """Name the pairs that differ from those that an output began with, by what differs; empty: none, or not known."""
    before = read_kept(out)
    if before is None or before.equals(table):
        return ""
    then, now = _files_of(before), _files_of(table)
    changes = {
        "gone": [_name(pair) for pair in then.keys() - now.keys()],
        "new": [_name(pair) for pair in now.keys() - then.keys()],
        "changed": [
            f"{_name(pair)} ({', '.join(name for name in FIELDS if then[pair][name] != now[pair][name])})"
            for pair in then.keys() & now.keys()
            if then[pair] != now[pair]
        ],
    }
    named = [f"{len(names)} {what}: {some(sorted(names))}" for what, names in changes.items() if names]
    return "; ".join(named) or f"another order or number: {_first_moved(before, table)}"


def _files_of(table: pa.Table) -> dict[tuple[str, str], dict[str, list[str]]]:
    """Tell, by photo and mask, what makes a pair another one."""
    return {
        (row["image"], row["mask"]): {field: [row[column] for column in columns] for field, columns in FIELDS.items()}
        for row in table.to_pylist()
    }


def _name(pair: tuple[str, str]) -> str:
    image, mask = pair
    return f"{image} with {mask}" if image and mask else image or mask


def _first_moved(before: pa.Table, table: pa.Table) -> str:
    """Name the first pair that stands in another row."""
    rows = zip_longest(before.to_pylist(), table.to_pylist())
    return next(_name((row["image"], row["mask"])) for old, row in rows if row and row != old)


def _digest(folder: Folder, name: str) -> str:
    """Hash a file; what cannot be read is left for the unit that will want it to say why."""
    try:
        return hashlib.sha256(read_picture(folder, name)).hexdigest() if name else ""
    except PhotoError:
        return ""
