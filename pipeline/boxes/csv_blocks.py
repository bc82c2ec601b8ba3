"""CSV blocks: an open CSV -> blocks of complete lines -> BOXES and the lines that are not rows."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipeline.ahead import work_ahead
from pipeline.boxes.hashed_files import BLOCK_BYTES, TableDigest, opened_hashed
from pipeline.errors import InputError
from schemas.boxes import BOXES, COORDINATE_COLUMNS, FLAG_COLUMNS, ID_COLUMN, UNKNOWN_FLAG
from schemas.drops import Drop

T = TypeVar("T")
UNREADABLE_FLAG = -128
NULL_WORDS = ("", "nan", "NaN", "NA", "null", "None")


def read_header(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
    return [name.strip() for name in next(csv.reader([text]), [])]


def _line_blocks(file: Any) -> Iterator[bytes]:
    """Cut a file into blocks of complete lines."""
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


def parse_blocks(
    url: str, digest: TableDigest, parse: Callable[[bytes, list[str]], T], *, anonymous: bool, threads: int
) -> Iterator[T]:
    """Parse a CSV block by block on a few threads, and yield the results in order."""
    with opened_hashed(url, digest, anonymous=anonymous) as file, ThreadPoolExecutor(threads) as pool:
        header = read_header(file.readline())
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


def parse_block(url: str, block: bytes, header: list[str]) -> tuple[pa.Table, list[Drop]]:
    """Parse complete lines of CSV as typed columns; where a value is unreadable, again with that value as null.

    Raises:
        InputError: they are not UTF-8.
    """
    _refuse_other_encodings(url, block)
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
        table = cast_leniently(strings)
    if lines >= 0 and len(table) + len(texts) != lines:
        return parse_block(url, block.replace(b'"', b"'"), header)  # a stray quote would swallow its neighbours
    drops: list[Drop] = [
        Drop(stage="boxes", image_id="", box_id=None, draw=None, reason="wrong_field_count", detail=text[:200])
        for text in texts
    ]
    return as_boxes(table), drops


def _refuse_other_encodings(url: str, block: bytes) -> None:
    """Refuse what is not UTF-8: a row of the wrong width would get lost in it, since pyarrow cannot report its text."""
    if block.isascii():
        return
    try:
        block.decode()
    except UnicodeDecodeError as error:
        line = block[block.rfind(b"\n", 0, error.start) + 1 :].partition(b"\n")[0]
        raise InputError(f"{url}: {line[:100]!r} is not UTF-8 ({error.reason}); save the table as UTF-8") from error


def cast_leniently(strings: pa.Table) -> pa.Table:
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


def normal_ids(ids: Any) -> Any:
    """Bring a column of image ids to NFC, the form in which they are compared with names of files."""
    return ids if pc.all(pc.string_is_ascii(ids)).as_py() in (True, None) else pc.utf8_normalize(ids, form="NFC")


def as_boxes(table: pa.Table) -> pa.Table:
    """Bring a table to the schema of BOXES: missing or empty flags are unknown, missing numbers NaN."""
    columns = []
    for field_ in BOXES:
        if field_.name in table.column_names:
            column = table[field_.name].cast(field_.type)
            column = normal_ids(column) if field_.name == ID_COLUMN else column
            default = "" if pa.types.is_string(field_.type) else UNKNOWN_FLAG
            columns.append(column.fill_null(float("nan") if field_.name in COORDINATE_COLUMNS else default))
        else:
            columns.append(pa.array(np.full(len(table), UNKNOWN_FLAG, np.int8)))
    return pa.Table.from_arrays(columns, schema=BOXES)
