"""Contents: the table of shards of a finished dataset -> what its first draws hold, and what differs from another time.

More draws add shards and change none, so that a training goes on with the draws that it began with.
"""

import hashlib
import io
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.shards.recipe import Json
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.shards import MANIFEST, SHARDS, SHARDS_TABLE, unit_name

COLUMNS = ["name", "split", "unit", "draw", "samples", "bytes", "sha256"]
SHOWN = 6  # shards that a message names
ShardRow = dict[str, Any]
"""A row of SHARDS, its COLUMNS."""


@dataclass(frozen=True)
class Contents:
    """What the first draws of a finished dataset hold.

    Args:
        draws: how many are looked at.
        draws_there: how many the dataset has.
        rows: the shards of these draws, of all splits, by unit and draw.
        former_digest: of recipe and table as versions wrote it into trainings that know no number of draws; empty
            where not all draws are looked at.
    """

    draws: int
    draws_there: int
    recipe_digest: str
    rows: tuple[ShardRow, ...] = field(repr=False)
    former_digest: str = ""

    @cached_property
    def digest(self) -> str:
        """Of recipe and shards: where digests are equal, samples are."""
        rows = [[row[name] for name in COLUMNS] for row in self.rows]
        return hashlib.sha256(json.dumps([self.recipe_digest, rows]).encode()).hexdigest()

    def has_digest(self, digest: object) -> bool:
        """Whether a training that recorded this digest began with these shards."""
        return digest in (self.digest, self.former_digest or self.digest)

    def describe(self) -> str:
        """Say which draws are looked at, where the dataset has more; else nothing."""
        if self.draws == self.draws_there:
            return ""
        first = "draw 0" if self.draws == 1 else f"draws 0..{self.draws - 1}"
        return f"{first} of {self.draws_there}; another --out takes all"


def read_contents(folder: Folder, manifest: Json, *, draws: int = 0) -> Contents:
    """Read the table of shards.

    Args:
        draws: look at the first ones alone; 0, or more than there are: at all.

    Raises:
        InputError: the table is missing, or is not the manifest's.
    """
    content = folder.read_if_there(SHARDS_TABLE)
    if content is None:
        raise InputError(f"{folder.url}/{SHARDS_TABLE}: missing; copy the complete dataset, or run the shard job again")
    recorded = manifest["files"][SHARDS_TABLE]
    if hashlib.sha256(content).hexdigest() != recorded:
        raise InputError(
            f"{folder.url}/{SHARDS_TABLE}: its sha256 is not the one in {MANIFEST}; run the shard job again"
        )
    there = manifest["draws"]
    draws = min(draws or there, there)
    former = hashlib.sha256(f"{manifest['recipe_digest']} {recorded}".encode()).hexdigest() if draws == there else ""
    rows = [row for row in shard_rows(content) if row["draw"] < draws]
    return Contents(draws, there, manifest["recipe_digest"], tuple(rows), former)


def shard_rows(content: bytes) -> list[ShardRow]:
    """Read COLUMNS of a table of shards, by unit and draw.

    Raises:
        KeyError: a column is missing.
        pa.ArrowException: the file is damaged.
    """
    rows: list[ShardRow] = table_from(content, COLUMNS).to_pylist()
    return sorted(rows, key=lambda row: (row["unit"], row["draw"]))


def shard_table(rows: Collection[ShardRow]) -> bytes:
    """Write rows as a table that `shard_rows` reads."""
    schema = pa.schema([SHARDS.field(name) for name in COLUMNS])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file)
    return file.getvalue()


def differing_shards(before: Collection[ShardRow], now: Collection[ShardRow]) -> str:
    """Name the shards, by unit and draw, that changed, came or went; empty: none did."""
    then, there = ({(row["unit"], row["draw"]): row for row in rows} for rows in (before, now))
    places = {
        "changed": {place for place in then.keys() & there.keys() if then[place] != there[place]},
        "came": there.keys() - then.keys(),
        "went": then.keys() - there.keys(),
    }
    return "; ".join(f"{what}: {_names(found)}" for what, found in places.items() if found)


def _names(places: Collection[tuple[int, int]]) -> str:
    shown = ", ".join(unit_name(*place) for place in sorted(places)[:SHOWN])
    return shown if len(places) <= SHOWN else f"{shown} and {len(places) - SHOWN:,} more"
