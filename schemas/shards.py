"""Shards, the record of a finished unit and draw, and where each file of a dataset lies."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1  # raise it, and tell CHANGELOG.md, whenever a reader of the old format would err

SPLITS = ("train", "validation", "test")

MANIFEST = "manifest.json"
SHARDS_TABLE = "shards.parquet"
CARD = "card.md"
OVERVIEW = "overview.png"
FUNNEL = "funnel.png"
BOX_DROPS = "drops/boxes-{part:05d}.parquet"
RUN = "run"  # all that has a clock, host, path or rate in it

SHARDS = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("split", pa.string()),
        pa.field("unit", pa.int32()),
        pa.field("draw", pa.int32()),
        pa.field("samples", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("sha256", pa.string()),
    ]
)


def unit_name(unit: int, draw: int) -> str:
    """`000000-d00`: the stem of every file of one unit and draw."""
    return f"{unit:06d}-d{draw:02d}"


def shard_path(split: str, unit: int, draw: int) -> str:
    """Where the shard lies, relative to the dataset."""
    return f"shards/{split}/{unit_name(unit, draw)}.tar"


def index_path(split: str, unit: int, draw: int) -> str:
    """Where the index of the shard lies, relative to the dataset."""
    return f"index/{split}/{unit_name(unit, draw)}.parquet"


def drops_path(unit: int, draw: int) -> str:
    """Where the drops of one unit and draw lie, relative to the dataset."""
    return f"drops/units/{unit_name(unit, draw)}.parquet"


def record_path(unit: int, draw: int) -> str:
    """Where the record of one unit and draw lies, relative to the dataset."""
    return f"units/{unit_name(unit, draw)}.json"


@dataclass(frozen=True)
class FileDigest:
    """A written file, relative to the dataset."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class UnitRecord:
    """What one unit and draw became; written last, so that its existence means that its files are whole.

    `planned` draws = `samples` + the sum of `dropped`. `boxes_kept` counts the unit's boxes after filtering,
    `boxes_drawn` those that this draw is the first to take, `boxes_lost` those in photos that could not be read.
    """

    schema_version: int
    recipe_digest: str
    unit: int
    draw: int
    split: str
    photos: int
    photos_lost: int
    planned: int
    samples: int
    dropped: dict[str, int]  # "stage/reason" -> draws
    boxes_kept: int
    boxes_drawn: int
    boxes_lost: int
    shard: FileDigest | None  # None: no draw of this unit gave a sample
    index: FileDigest | None
    drops: FileDigest

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "UnitRecord":
        """Read a record as `json.loads` gave it.

        Raises:
            TypeError, KeyError: a field is missing or unknown.
        """
        digests = {
            name: None if fields[name] is None else FileDigest(**fields[name]) for name in ("shard", "index", "drops")
        }
        return cls(**{**fields, **digests})
