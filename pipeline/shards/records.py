"""Records: a JSON file for each finished unit and draw -> UnitRecord -> rows of SHARDS."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.shards import (
    RECORD_NAME,
    SHARDS,
    UnitRecord,
    json_bytes,
    record_path,
)

READERS = 32  # threads that wait for storage


def read_record(out: Folder, unit: int, draw: int) -> UnitRecord | None:
    """Read the record of a unit and draw; None while it is not finished.

    Raises:
        InputError: it is damaged.
    """
    name = record_path(unit, draw)
    content = out.read_if_there(name)
    return _parse(out, name, content) if content is not None else None


def shards_table(records: Iterable[UnitRecord]) -> pa.Table:
    """Make SHARDS of the records that have a shard."""
    return pa.Table.from_pylist(shard_rows(records), schema=SHARDS)


def shard_rows(records: Iterable[UnitRecord]) -> list[dict[str, Any]]:
    """Make the rows of SHARDS."""
    return [
        {"name": r.shard.name, "bytes": r.shard.bytes, "sha256": r.shard.sha256, "record_sha256": record_sha256(r)}
        | {"split": r.split, "unit": r.unit, "draw": r.draw, "samples": r.samples}
        for r in records
        if r.shard
    ]


def record_sha256(record: UnitRecord) -> str:
    """Hash a record as it is written."""
    return hashlib.sha256(json_bytes(record.to_json())).hexdigest()


def read_records(out: Folder) -> list[UnitRecord]:
    """Read the records of all finished units and draws, in order.

    Raises:
        InputError: one is damaged.
    """

    def read(name: str) -> UnitRecord:
        return _parse(out, name, out.read(name))

    names = [f"units/{name}" for name in out.names("units") if RECORD_NAME.fullmatch(name)]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, names))


def _parse(out: Folder, name: str, content: bytes) -> UnitRecord:
    try:
        return UnitRecord.from_json(json.loads(content))
    except ValueError as error:
        raise InputError(
            f"{out.url}/{name}: unreadable ({error}); remove it and run the same command again, which makes its shard "
            "anew"
        ) from error
