"""Boxes: Open Images tables -> BOXES, streamed in blocks.

A table is CSV (of any Open Images version, compressed or not) or Parquet. It is checked before any work, and read in
blocks of complete lines, so that 16 M rows never sit in Python objects.
"""

import csv
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipeline.boxes.csv_blocks import as_boxes, cast_leniently, normal_ids, parse_block, parse_blocks, read_header
from pipeline.boxes.hashed_files import BLOCK_BYTES, HashedReader, TableDigest, open_table, opened_hashed
from pipeline.boxes.row_problems import Sides, other_reading, row_problem
from pipeline.errors import InputError
from pipeline.storage.tables import open_parquet
from schemas.boxes import BOXES, COORDINATE_COLUMNS, ID_COLUMN, REQUIRED_COLUMNS
from schemas.drops import Drop

CHECKED_ROWS = 1000
# How files begin that are no CSV: what they are, and what their names end in.
OTHER_CONTENTS = {
    b"\x1f\x8b": ("gzip", ".csv.gz"),
    b"BZh": ("bzip2", ".csv.bz2"),
    b"\xfd7zXZ": ("xz", ".csv.xz"),
    b"PAR1": ("Parquet", ".parquet"),
}
# What a damaged or misnamed table raises while it is read.
UNREADABLE = (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException)


def check_tables(urls: list[str], *, anonymous: bool) -> None:
    """Refuse tables that cannot be Open Images boxes, before any work.

    Raises:
        InputError: naming the file, the column and the first bad line.
    """
    for url in urls:
        if url.lower().endswith(".zip"):
            raise InputError(f"{url}: zip archives are not read; unpack it, or give .gz, .bz2 or .xz")
        with _explained(url):
            if not is_parquet(url):
                _check_csv(url, anonymous=anonymous)
                continue
            with open_table(url, anonymous=anonymous) as file:
                schema = open_parquet(file).schema_arrow
                _require_columns(url, schema.names)
                _refuse_odd_types(url, schema)


def stream_boxes(url: str, digest: TableDigest, *, anonymous: bool, threads: int = 2) -> Iterator[pa.Table]:
    """Read one table of boxes.

    Args:
        digest: filled while the table is read.
        threads: blocks parsed at once.

    Yields:
        BOXES, in the table's order.

    Raises:
        InputError: the table is not UTF-8, or changes its columns midway.
    """
    with _explained(url):
        if is_parquet(url):
            yield from _stream_parquet(url, digest, anonymous=anonymous)
            return

        def parse(block: bytes, header: list[str]) -> tuple[pa.Table, list[Drop]]:
            return parse_block(url, block, header)

        for table, wrong_width in parse_blocks(url, digest, parse, anonymous=anonymous, threads=threads):
            digest.wrong_width += wrong_width
            digest.rows += len(table) + len(wrong_width)
            yield table


def stream_columns(
    url: str, columns: dict[str, pa.DataType], digest: TableDigest, *, anonymous: bool
) -> Iterator[pa.Table]:
    """Read some columns of a CSV in blocks.

    Quoted fields may hold line breaks here, as photo titles do.

    Raises:
        InputError: the table is missing, is not a CSV, or lacks a column.
    """
    with _explained(url), opened_hashed(url, digest, anonymous=anonymous) as file:
        try:
            reader = pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(include_columns=list(columns), column_types=columns),
            )
            for batch in reader:
                digest.rows += len(batch)
                table = pa.Table.from_batches([batch])
                if ID_COLUMN in columns:
                    table = table.set_column(
                        table.column_names.index(ID_COLUMN), ID_COLUMN, normal_ids(table[ID_COLUMN])
                    )
                yield table
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


def is_parquet(url: str) -> bool:
    """Whether a table is Parquet, by its name, in any case; else it is CSV."""
    return url.lower().endswith((".parquet", ".pq"))


def _require_columns(url: str, columns: list[str]) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        text = "".join(columns)
        hints = {";": "; the fields seem to be separated by ';', Open Images uses ','", "\0": "; it seems to be UTF-16"}
        hints["\t"] = "; the fields seem to be separated by tabs, Open Images uses ','"
        hint = next((hint for mark, hint in hints.items() if mark in text), "")
        found = ", ".join(columns).replace("\0", "")[:200]
        raise InputError(
            f"{url}: line 1: missing column {', '.join(missing)}{hint}; found {found or 'nothing'}; "
            f"a box table has at least {', '.join(REQUIRED_COLUMNS)}"
        )
    if twice := [name for name in BOXES.names if columns.count(name) > 1]:
        raise InputError(f"{url}: line 1: column {', '.join(twice)} is there twice; leave one of them")


def _refuse_odd_types(url: str, schema: pa.Schema) -> None:
    """Refuse Parquet columns of which no value could be read, such as lists and dates."""
    for field in BOXES:
        if field.name in schema.names:
            kind = schema.field(field.name).type
            try:
                pa.nulls(0, kind).cast(field.type)
            except pa.ArrowNotImplementedError as error:
                raise InputError(f"{url}: column {field.name} holds {kind}; give {field.type} or text") from error


def _check_csv(url: str, *, anonymous: bool) -> None:
    """Refuse a CSV without the columns, without rows, or without one valid row among the first CHECKED_ROWS."""
    with open_table(url, anonymous=anonymous, compression="infer") as file:
        first = file.readline()
        if not first.strip():
            raise InputError(f"{url}: the file is empty; give a box table with a header line")
        _refuse_other_contents(url, first)
        header = read_header(first)
        _require_columns(url, header)
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        rows = list(islice((row for row in csv.reader(text) if row), CHECKED_ROWS))
    if not rows:
        raise InputError(f"{url}: line 2: no rows below the header; give a table with boxes")
    first_problem = ""
    for line, row in enumerate(rows, start=2):
        problem = row_problem(row, header)
        if not problem:
            return
        first_problem = first_problem or f"line {line}: {problem}"
    cause = other_reading(_sides(rows, header))
    hint = f"; likely cause: {cause}" if cause else ""
    raise InputError(f"{url}: {first_problem}; none of the first {len(rows)} rows is a valid box{hint}")


def _refuse_other_contents(url: str, first: bytes) -> None:
    """Refuse a file that is read as CSV, by its name, and is none."""
    for mark, (kind, suffix) in OTHER_CONTENTS.items():
        if first.startswith(mark):
            raise InputError(f"{url}: holds {kind}, which its name does not say; name it ...{suffix}")


def _sides(rows: list[list[str]], header: list[str]) -> Sides:
    """Read the coordinates of the rows of a CSV that have them."""
    places = [header.index(name) for name in COORDINATE_COLUMNS]
    sides = []
    for row in rows:
        with suppress(ValueError, IndexError):
            sides.append([float(row[place]) for place in places])
    return np.array(sides, np.float64).reshape(-1, len(places))


def _stream_parquet(url: str, digest: TableDigest, *, anonymous: bool) -> Iterator[pa.Table]:
    with open_table(url, anonymous=anonymous) as file:
        hashed = HashedReader(file)
        while hashed.readinto(memoryview(bytearray(BLOCK_BYTES))):
            pass
        digest.bytes, digest.sha256 = hashed.bytes, hashed.sha256()
        file.seek(0)
        parquet = open_parquet(file)
        columns = [name for name in BOXES.names if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(batch_size=1 << 16, columns=columns, use_threads=False):
            digest.rows += len(batch)
            try:
                batch.validate(full=True)  # text that is not UTF-8 would raise far from here
                yield _typed(pa.Table.from_batches([batch]))
            except pa.ArrowInvalid as error:
                raise InputError(f"{url}: {error}; columns must have the types {BOXES}") from error


def _typed(table: pa.Table) -> pa.Table:
    """Bring columns of any type to BOXES; where a value cannot be, as CSV's values are."""
    try:
        return as_boxes(table)
    except pa.ArrowInvalid:
        texts = [column.cast(pa.string()).fill_null("") for column in table.columns]
        return as_boxes(cast_leniently(pa.table(texts, names=table.column_names)))
