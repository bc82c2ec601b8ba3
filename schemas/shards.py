"""Shards, the record of a finished unit and draw, and where each file of a dataset lies."""

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

# Raise them, with an entry in CHANGELOG.md, when readers of the old format would err.
SCHEMA_VERSION, JITTERED_VERSION = 2, 3  # of datasets without and with a share of jittered samples

SPLITS = ("train", "validation", "test")

MANIFEST = "manifest.json"
SHARDS_TABLE = "shards.parquet"
CARD = "card.md"
OVERVIEW = "overview.png"
FUNNEL = "funnel.png"
BOX_DROPS = "drops/boxes-{part:05d}.parquet"
RUN = "run"  # all that has a clock, host, path or rate in it
CONFIG = f"{RUN}/config.json"  # the flags of the run that made it

RECORD_NAME = re.compile(r"\d{6,}-d\d{2,}\.json")

SHARDS = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("split", pa.string()),
        pa.field("unit", pa.int32()),
        pa.field("draw", pa.int32()),
        pa.field("samples", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("record_sha256", pa.string()),  # of the record of its unit and draw
    ]
)


def schema_version(colour_jitter: float) -> int:
    """The format of a dataset: only one that has jittered samples needs readers that know of them."""
    return JITTERED_VERSION if colour_jitter else SCHEMA_VERSION


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


def place_of_record(name: str) -> tuple[int, int]:
    """Read unit and draw from the name of a record's file."""
    unit, _, draw = name.removesuffix(".json").partition("-d")
    return int(unit), int(draw)


@dataclass(frozen=True)
class FileDigest:
    """A written file, relative to the dataset."""

    name: str
    bytes: int
    sha256: str

    @classmethod
    def from_json(cls, content: Any) -> "FileDigest":
        """Read a digest as `json.loads` gave it.

        Raises:
            ValueError: a field is missing, unknown, or of another type.
        """
        return cls(**_checked_fields(cls, content))


@dataclass(frozen=True)
class UnitRecord:
    """What one unit and draw became; written last, so that its existence means that its files are complete.

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
    jittered: int | None = None  # samples; None, and not written: the dataset has no --colour-jitter

    def to_json(self) -> dict[str, Any]:
        """Return what is written."""
        content = asdict(self)
        return content if self.jittered is not None else {k: v for k, v in content.items() if k != "jittered"}

    @classmethod
    def from_json(cls, content: Any) -> "UnitRecord":
        """Read a record as `json.loads` gave it.

        Raises:
            ValueError: a field is missing, unknown, or of another type.
        """
        values = _checked_fields(cls, content)
        dropped = values["dropped"]
        if not isinstance(dropped, dict) or not all(type(count) is int and count > 0 for count in dropped.values()):
            raise ValueError(f"dropped is {dropped!r}, not counts by reason")
        digests = {
            name: None if values[name] is None and name != "drops" else FileDigest.from_json(values[name])
            for name in ("shard", "index", "drops")
        }
        return cls(**{**values, **digests})


def json_bytes(content: Any) -> bytes:
    """The one form in which a dataset's JSON is written: equal contents give equal bytes."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _checked_fields(cls: type[FileDigest] | type[UnitRecord], content: Any) -> dict[str, Any]:
    """Check that JSON has just a class's fields, and the types of its texts and counts.

    Raises:
        ValueError: naming the fields.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{type(content).__name__} where the fields of {cls.__name__} should be")
    present = [field for field in fields(cls) if field.name in content or field.default is not None]
    odd = sorted({field.name for field in present} ^ set(content))
    if odd:
        raise ValueError(f"{', '.join(odd)}: missing or unknown")
    for field in present:
        value: Any = content[field.name]
        is_text = field.type is not str or type(value) is str
        is_count = field.type not in (int, int | None) or (type(value) is int and value >= 0)
        if not is_text or not is_count:
            raise ValueError(f"{field.name} is {value!r}")
    return dict(content)
