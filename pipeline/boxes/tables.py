"""Boxes: Open Images tables -> BOXES, streamed in blocks.

A table is CSV (of any Open Images version, compressed or not) or Parquet. It is checked before any work, and read in
blocks of whole lines, so that 16 M rows never sit in Python objects.
"""

import csv
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, TypeVar

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.ahead import work_ahead
from pipeline.errors import InputError
from pipeline.storage.folder import expand, filesystem
from schemas.boxes import BOXES, COORDINATE_COLUMNS, FLAG_COLUMNS, ID_COLUMN, REQUIRED_COLUMNS, UNKNOWN_FLAG
from schemas.drops import Drop

T = TypeVar("T")

BLOCK_BYTES = 8 << 20
CHECKED_ROWS = 1000
OUTSIDE_TOLERANCE = 1e-3  # share of the photo by which a box may leave it
UNREADABLE_FLAG = -128
NULL_WORDS = ("", "nan", "NaN", "NA", "null", "None")
# What a damaged or misnamed table raises while it is read.
UNREADABLE = (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException)

# The reasons for which a row of a box table is malformed, in the order in which they are looked for.
MALFORMED = ("no_image_id", "no_label", "not_a_number", "outside_photo", "empty_box", "bad_flag")


@dataclass
class TableDigest:
    """What was read of one table; complete once its last block has been taken."""

    bytes: int = 0
    rows: int = 0
    sha256: str = ""
    wrong_width: list[Drop] = field(default_factory=list)  # rows with too many or too few fields


def malformed_reason(boxes: pa.Table) -> NDArray[np.int8]:
    """Judge rows of BOXES.

    Returns:
        [n] position in MALFORMED of the first reason that holds, or -1.
    """
    numbers = {name: boxes[name].to_numpy() for name in COORDINATE_COLUMNS}
    stacked = np.stack(list(numbers.values()))
    outside = (stacked < -OUTSIDE_TOLERANCE) | (stacked > 1 + OUTSIDE_TOLERANCE)
    # Judged as it will be used, cut to the photo: a box that lies in the tolerance alone has no area.
    x_min, y_min, x_max, y_max = np.clip(stacked, 0, 1)
    holds = {
        "no_image_id": pc.equal(boxes[ID_COLUMN], "").to_numpy(),
        "no_label": pc.equal(boxes["LabelName"], "").to_numpy(),
        "not_a_number": ~np.isfinite(stacked).all(axis=0),
        "outside_photo": outside.any(axis=0),
        "empty_box": (x_max <= x_min) | (y_max <= y_min),
        "bad_flag": np.any([(boxes[name].to_numpy() < -1) | (boxes[name].to_numpy() > 1) for name in FLAG_COLUMNS], 0),
    }
    reason = np.full(len(boxes), -1, np.int8)
    for position in reversed(range(len(MALFORMED))):
        reason[holds[MALFORMED[position]]] = position
    return reason


def list_tables(patterns: Iterable[str], *, anonymous: bool) -> list[str]:
    """Resolve globs to tables, in the order given, each glob's matches sorted."""
    return [url for pattern in patterns for url in expand(pattern, anonymous=anonymous)]


def check_tables(urls: list[str], *, anonymous: bool) -> None:
    """Refuse tables that cannot be Open Images boxes, before any work.

    Raises:
        InputError: naming the file, the column and the first bad line.
    """
    for url in urls:
        if url.endswith(".zip"):
            raise InputError(f"{url}: zip archives are not read; unpack it, or give .gz, .bz2 or .xz")
        with _explained(url):
            if not _is_parquet(url):
                _check_csv(url, anonymous=anonymous)
                continue
            with _open(url, anonymous=anonymous) as file:
                _require_columns(url, pq.ParquetFile(file).schema_arrow.names)


def stream_boxes(url: str, digest: TableDigest, *, anonymous: bool, threads: int = 2) -> Iterator[pa.Table]:
    """Read one table of boxes.

    Args:
        digest: filled while the table is read.
        threads: blocks parsed at once.

    Yields:
        BOXES, in the table's order.

    Raises:
        InputError: the table is no UTF-8, or changes its columns midway.
    """
    with _explained(url):
        if _is_parquet(url):
            yield from _stream_parquet(url, digest, anonymous=anonymous)
            return

        def parse(block: bytes, header: list[str]) -> tuple[pa.Table, list[Drop]]:
            return _parse_block(url, block, header)

        for table, wrong_width in _stream_csv(url, digest, parse, anonymous=anonymous, threads=threads):
            digest.wrong_width += wrong_width
            digest.rows += len(table) + len(wrong_width)
            yield table


def stream_columns(
    url: str, columns: dict[str, pa.DataType], digest: TableDigest, *, anonymous: bool
) -> Iterator[pa.Table]:
    """Read some columns of a CSV in blocks.

    Quoted fields may hold line breaks here, as photo titles do.

    Raises:
        InputError: the table is absent, is no CSV, or lacks a column.
    """
    with _explained(url), _hashed(url, digest, anonymous=anonymous) as file:
        try:
            reader = pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(include_columns=list(columns), column_types=columns),
            )
            for batch in reader:
                digest.rows += len(batch)
                yield pa.Table.from_batches([batch])
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise InputError(f"{url}: {error}; give a CSV with the columns {', '.join(columns)}") from error


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what a damaged table raises into one message."""
    try:
        yield
    except UNREADABLE as error:
        raise InputError(
            f"{url}: cannot be read ({type(error).__name__}: {error}); give UTF-8 CSV, plain or compressed as its name "
            "says, or Parquet"
        ) from error


def _is_parquet(url: str) -> bool:
    return url.endswith((".parquet", ".pq"))


def _open(url: str, *, anonymous: bool, compression: str | None = None) -> Any:
    """Open a table for reading.

    Args:
        compression: `infer` to decompress it.

    Raises:
        InputError: it is absent or forbidden.
    """
    fs, path = filesystem(url, anonymous=anonymous)
    try:
        return fs.open(path, "rb", compression=compression)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(
            f"{url}: not found, or out of reach; check --boxes, --image-info and --classes, and the network"
        ) from error
    except PermissionError as error:
        raise InputError(f"{url}: not allowed to read it; check the credentials, or give --anonymous") from error
    except OSError as error:
        raise InputError(f"{url}: cannot be read ({error}); check the network, or give a local copy") from error


def _require_columns(url: str, found: list[str]) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in found]
    if missing:
        hint = "; the fields seem to be separated by ';', Open Images uses ','" if ";" in "".join(found) else ""
        raise InputError(
            f"{url}: line 1: missing column {', '.join(missing)}{hint}; found {', '.join(found)[:200] or 'nothing'}; "
            f"a box table has at least {', '.join(REQUIRED_COLUMNS)}"
        )


def _header(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
    return [name.strip() for name in next(csv.reader([text]), [])]


def _check_csv(url: str, *, anonymous: bool) -> None:
    """Refuse a CSV without the columns, without rows, or without one valid row among the first CHECKED_ROWS."""
    with _open(url, anonymous=anonymous, compression="infer") as file:
        first = file.readline()
        if not first.strip():
            raise InputError(f"{url}: the file is empty; give a box table with a header line")
        header = _header(first)
        _require_columns(url, header)
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        rows = list(islice((row for row in csv.reader(text) if row), CHECKED_ROWS))
    if not rows:
        raise InputError(f"{url}: line 2: no rows below the header; give a table with boxes")
    places = [header.index(name) for name in REQUIRED_COLUMNS]
    first_problem = ""
    for line, row in enumerate(rows, start=2):
        problem = _row_problem(row, places, len(header))
        if not problem:
            return
        first_problem = first_problem or f"line {line}: {problem}"
    raise InputError(f"{url}: {first_problem}; none of the first {len(rows)} rows is a valid box")


def _row_problem(row: list[str], places: list[int], width: int) -> str:
    """Say what is wrong with one row of a CSV, or nothing."""
    if len(row) != width:
        return f"{len(row)} fields where the header has {width}"
    values = [row[place].strip() for place in places]
    if not values[0] or not values[1]:
        return f"column {REQUIRED_COLUMNS[0 if not values[0] else 1]} is empty"
    numbers = []
    for name, value in zip(COORDINATE_COLUMNS, values[2:], strict=True):
        try:
            numbers.append(float(value))
        except ValueError:
            hint = " has a decimal comma; write 0.5, not 0,5" if "," in value else " is no number"
            return f"column {name}: {value!r}{hint}"
        if not -OUTSIDE_TOLERANCE <= numbers[-1] <= 1 + OUTSIDE_TOLERANCE:
            hint = " looks like a pixel coordinate" if numbers[-1] > 1 else ""
            return f"column {name}: {value!r}{hint}; boxes are shares of the photo's width and height, 0..1"
    x_min, y_min, x_max, y_max = numbers
    if x_max <= x_min or y_max <= y_min:
        return f"column {'XMax' if x_max <= x_min else 'YMax'}: the box is empty, its end is not beyond its start"
    return ""


class _HashedReader(io.RawIOBase):
    """A file that hashes what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._file.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._hash.update(chunk)
        self.bytes += len(chunk)
        return len(chunk)

    def sha256(self) -> str:
        return self._hash.hexdigest()


def _line_blocks(file: Any) -> Iterator[bytes]:
    """Cut a file into blocks of whole lines."""
    rest = b""
    while chunk := file.read(BLOCK_BYTES):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest += chunk
    if rest.strip():
        yield rest


@contextmanager
def _hashed(url: str, digest: TableDigest, *, anonymous: bool) -> Iterator[Any]:
    """Open a table, decompressed, and hash the stored file as it is read; the digest holds on leaving."""
    compression = fsspec.utils.infer_compression(url)
    with _open(url, anonymous=anonymous) as raw:
        hashed = _HashedReader(raw)
        buffered = io.BufferedReader(hashed, BLOCK_BYTES)
        yield fsspec.compression.compr[compression](buffered, mode="rb") if compression else buffered
        while buffered.read(BLOCK_BYTES):  # what a decompressor left
            pass
        digest.bytes, digest.sha256 = hashed.bytes, hashed.sha256()


def _stream_csv(
    url: str, digest: TableDigest, parse: Callable[[bytes, list[str]], T], *, anonymous: bool, threads: int
) -> Iterator[T]:
    """Parse a CSV block by block on a few threads, and give the results in order."""
    with _hashed(url, digest, anonymous=anonymous) as file, ThreadPoolExecutor(threads) as pool:
        header = _header(file.readline())
        yield from work_ahead(pool, lambda block: parse(block, header), _line_blocks(file), ahead=threads)


def _read_csv(
    block: bytes, header: list[str], types: dict[str, pa.DataType], wrong_width: list[str], *, lenient: bool
) -> pa.Table:
    def skip(row: Any) -> str:
        wrong_width.append(row.text)
        return "skip"

    return pa_csv.read_csv(
        pa.BufferReader(block),
        read_options=pa_csv.ReadOptions(column_names=header, use_threads=False, block_size=2 * len(block) + 64),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=skip),
        convert_options=pa_csv.ConvertOptions(
            include_columns=[name for name in BOXES.names if name in header],
            column_types=types,
            null_values=[] if lenient else list(NULL_WORDS),
            strings_can_be_null=False,
        ),
    )


def _parse_block(url: str, block: bytes, header: list[str]) -> tuple[pa.Table, list[Drop]]:
    """Parse whole lines of CSV as typed columns; where a value is unreadable, again with that value as null."""
    lines = sum(1 for line in block.splitlines() if line.strip()) if b'"' in block else -1
    texts: list[str] = []
    types = {name: BOXES.field(name).type for name in BOXES.names}
    try:
        table = _read_csv(block, header, types, texts, lenient=False)
    except pa.ArrowInvalid:
        texts.clear()
        try:
            strings = _read_csv(block, header, dict.fromkeys(types, pa.string()), texts, lenient=True)
        except pa.ArrowInvalid as error:
            raise InputError(f"{url}: {error}; the table must be UTF-8 CSV with one header line") from error
        table = _cast_leniently(strings)
    if lines >= 0 and len(table) + len(texts) != lines:
        return _parse_block(url, block.replace(b'"', b"'"), header)  # a stray quote would swallow its neighbours
    drops: list[Drop] = [
        Drop(stage="boxes", image_id="", box_id=None, draw=None, reason="wrong_field_count", detail=text[:200])
        for text in texts
    ]
    return _as_boxes(table), drops


def _cast_leniently(strings: pa.Table) -> pa.Table:
    """Cast text to the types of BOXES: an unreadable number becomes null, an unreadable flag UNREADABLE_FLAG."""
    columns = {}
    for name in strings.column_names:
        text = strings[name].combine_chunks()
        if name not in COORDINATE_COLUMNS and name not in FLAG_COLUMNS:
            columns[name] = text
            continue
        text = pc.utf8_trim_whitespace(text)
        text = pc.if_else(pc.is_in(text, pa.array(NULL_WORDS)), "", text)
        if name in COORDINATE_COLUMNS:
            readable = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$")
            columns[name] = pc.if_else(readable, text, None).cast(pa.float64())
            continue
        text = pc.replace_substring_regex(pc.utf8_lower(text), r"^(-?[01])\.0*$", r"\1")
        text = pc.if_else(pc.equal(text, "true"), "1", pc.if_else(pc.equal(text, "false"), "0", text))
        readable = pc.match_substring_regex(text, r"^(-1|0|1)$")
        flag = pc.if_else(readable, text, None).cast(pa.int8())
        columns[name] = pc.if_else(pc.or_(readable, pc.equal(text, "")), flag, pa.scalar(UNREADABLE_FLAG, pa.int8()))
    return pa.table(columns)


def _as_boxes(table: pa.Table) -> pa.Table:
    """Bring a table to the schema of BOXES: absent or empty flags are unknown, absent numbers NaN."""
    columns = []
    for field_ in BOXES:
        if field_.name in table.column_names:
            column = table[field_.name].cast(field_.type)
            default = "" if pa.types.is_string(field_.type) else UNKNOWN_FLAG
            columns.append(column.fill_null(float("nan") if field_.name in COORDINATE_COLUMNS else default))
        else:
            columns.append(pa.array(np.full(len(table), UNKNOWN_FLAG, np.int8)))
    return pa.Table.from_arrays(columns, schema=BOXES)


def _stream_parquet(url: str, digest: TableDigest, *, anonymous: bool) -> Iterator[pa.Table]:
    with _open(url, anonymous=anonymous) as file:
        hashed = _HashedReader(file)
        while hashed.readinto(memoryview(bytearray(BLOCK_BYTES))):
            pass
        digest.bytes, digest.sha256 = hashed.bytes, hashed.sha256()
        file.seek(0)
        parquet = pq.ParquetFile(file)
        columns = [name for name in BOXES.names if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(batch_size=1 << 16, columns=columns):
            digest.rows += len(batch)
            try:
                batch.validate(full=True)  # text that is no UTF-8 would raise far from here
                boxes = _as_boxes(pa.Table.from_batches([batch]))
            except pa.ArrowInvalid as error:
                raise InputError(f"{url}: {error}; columns must have the types {BOXES}") from error
            yield boxes
