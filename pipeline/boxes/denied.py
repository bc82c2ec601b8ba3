"""Denied boxes: the CSV of --deny -> rows that each name a box, or all boxes of a photo, to be taken out."""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.storage.names import normal
from pipeline.storage.retries import read_bytes
from pipeline.storage.urls import filesystem
from schemas.boxes import COORDINATE_COLUMNS
from schemas.tagged import TAGGED_BOX_ID, TAGGED_ID, TAGGED_LABEL

DENIED_RULE = "denied"  # the reason, and the name in the recipe
REQUIRED = (TAGGED_ID, TAGGED_BOX_ID, TAGGED_LABEL, *COORDINATE_COLUMNS)
DENIED = pa.schema(
    [
        pa.field(TAGGED_ID, pa.string()),
        pa.field(TAGGED_BOX_ID, pa.int32()),  # null: all boxes of the photo
        pa.field(TAGGED_LABEL, pa.string()),  # empty: not said
        *(pa.field(name, pa.float64()) for name in COORDINATE_COLUMNS),  # null where box_id is
        pa.field("line", pa.int32()),  # in the file, from 1
    ]
)
_MOST_BOXES = 2**31


@dataclass(frozen=True)
class DeniedBoxes:
    """Rows of DENIED, each of another box or photo, and the file that they come from."""

    url: str
    sha256: str
    rows: pa.Table

    @property
    def spec(self) -> str:
        """The rule as a recipe names it: by the file's content."""
        return f"{DENIED_RULE}={self.sha256}"


def read_denied(url: str) -> DeniedBoxes:
    """Read a list of boxes, always with the user's own credentials.

    Raises:
        InputError: the file is missing or no such list, or two of its rows name the same; with line and value.
    """
    fs, path = filesystem(url)
    try:
        content = read_bytes(fs, path)
        rows = list(_parse_rows(url, content.decode("utf-8-sig")))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"--deny {url}: no such file; give the CSV that browse.py --tagged wrote") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--deny {url}: cannot be read ({error}); give a CSV in UTF-8") from error
    if not rows:
        raise InputError(f"--deny {url}: no rows below the header; leave --deny out to deny nothing")
    _refuse_twins(url, rows)
    return DeniedBoxes(url, hashlib.sha256(content).hexdigest(), pa.Table.from_pylist(rows, schema=DENIED))


def _parse_rows(url: str, text: str) -> Iterator[dict[str, Any]]:
    """Parse the lines of a CSV as rows of DENIED."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    if missing := [name for name in REQUIRED if name not in header]:
        raise InputError(
            f"--deny {url}: line 1: missing column {', '.join(missing)}; found {', '.join(header)[:200] or 'nothing'}; "
            f"give a CSV with {','.join(REQUIRED)}"
        )
    if twice := [name for name in REQUIRED if header.count(name) > 1]:
        raise InputError(f"--deny {url}: line 1: column {', '.join(twice)} is there twice; leave one of them")
    reader.fieldnames = header
    for row in reader:
        place = f"--deny {url}: line {reader.line_num}"
        if None in row or None in row.values():
            raise InputError(f"{place}: has another number of fields than the header; write the row anew")
        if not row[TAGGED_ID]:
            raise InputError(f"{place}: {TAGGED_ID} is empty; name a photo, or take the row out")
        box_id = _parse_box_id(row[TAGGED_BOX_ID].strip(), place)
        sides = dict.fromkeys(COORDINATE_COLUMNS)
        if box_id is not None:
            sides = {name: _parse_side(row[name], name, place) for name in COORDINATE_COLUMNS}
        named = {TAGGED_ID: normal(row[TAGGED_ID]), TAGGED_BOX_ID: box_id, TAGGED_LABEL: row[TAGGED_LABEL].strip()}
        yield {**named, **sides, "line": reader.line_num}


def _parse_box_id(text: str, place: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) < _MOST_BOXES):
        raise InputError(
            f"{place}: {TAGGED_BOX_ID} {text!r}: give a whole number from 0, or nothing for all boxes of the photo"
        )
    return int(text)


def _parse_side(text: str, name: str, place: str) -> float:
    try:
        return float(text)  # nan, too: a malformed box may be tagged
    except ValueError as error:
        raise InputError(f"{place}: {name} {text!r}: is not a number; give the box as the table has it") from error


def _refuse_twins(url: str, rows: list[dict[str, Any]]) -> None:
    lines: dict[tuple[str, int | None], int] = {}
    for row in rows:
        earlier = lines.setdefault((row[TAGGED_ID], row[TAGGED_BOX_ID]), row["line"])
        if earlier != row["line"]:
            box = "all boxes" if row[TAGGED_BOX_ID] is None else f"box {row[TAGGED_BOX_ID]}"
            raise InputError(
                f"--deny {url}: lines {earlier} and {row['line']} both name {box} of photo {row[TAGGED_ID]}; "
                "keep one of them"
            )
