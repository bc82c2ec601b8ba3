"""First problems: box tables -> the first bad rows, each with its place, and the likely cause."""

import csv
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from pipeline.boxes.csv_blocks import parse_block, parse_blocks
from pipeline.boxes.hashed_files import TableDigest
from pipeline.boxes.malformed import DUPLICATE, malformed_position
from pipeline.boxes.row_problems import Sides, likely_cause, row_problem
from pipeline.boxes.tables import is_parquet, stream_boxes
from schemas.boxes import COORDINATE_COLUMNS
from schemas.drops import Drop

SHOWN_PROBLEMS = 3


def first_problems(urls: Sequence[str], reasons: Mapping[str, int], *, anonymous: bool) -> tuple[list[str], str]:
    """Read tables again, as far as needed, for the first rows that are malformed by themselves.

    Args:
        reasons: malformed rows by reason.

    Returns:
        Each with file, line (of Parquet: row, from 1) and what is wrong; and the likely cause, empty if there is none.
    """
    lines: list[str] = []
    named: set[str] = set()
    sides: Sides = np.zeros((0, 4))
    for url in urls if set(reasons) - {DUPLICATE} else ():  # which no row is by itself
        for boxes, described in (_parquet_rows if is_parquet(url) else _csv_rows)(url, anonymous):
            if not len(sides):  # of the first block with a bad row
                sides = np.stack([boxes[name].to_numpy() for name in COORDINATE_COLUMNS], axis=1)
            for place, problem in described:
                if problem:
                    lines.append(f"{url}: {place}: {problem}" if url not in named else f"{place}: {problem}")
                    named.add(url)
                if len(lines) == SHOWN_PROBLEMS:
                    return lines, likely_cause(reasons, sides)
    return lines, likely_cause(reasons, sides)


Described = Iterator[tuple[str, str]]  # place and problem of one row after the other


def _csv_rows(url: str, anonymous: bool) -> Iterator[tuple[pa.Table, Described]]:
    """Give the blocks with a bad row, as BOXES, and their rows one by one."""

    def parse(block: bytes, header: list[str]) -> tuple[bytes, list[str], tuple[pa.Table, list[Drop]]]:
        return block, header, parse_block(url, block, header)

    def describe(block: bytes, header: list[str], line: int) -> Described:
        for number, text in enumerate(block.decode(errors="replace").split("\n"), start=line):
            row = next(csv.reader([text.rstrip("\r")]), [])
            yield f"line {number}", row_problem(row, header) if row else ""

    line = 2
    for block, header, (boxes, wrong_width) in parse_blocks(url, TableDigest(), parse, anonymous=anonymous, threads=2):
        if wrong_width or _has_malformed(boxes):
            yield boxes, describe(block, header, line)
        line += block.count(b"\n")


def _parquet_rows(url: str, anonymous: bool) -> Iterator[tuple[pa.Table, Described]]:
    def describe(boxes: pa.Table, first: int) -> Described:
        for number, row in enumerate(boxes.to_pylist(), start=first):
            yield f"row {number}", row_problem([str(value) for value in row.values()], list(row))

    row = 1
    for boxes in stream_boxes(url, TableDigest(), anonymous=anonymous):
        if _has_malformed(boxes):
            yield boxes, describe(boxes, row)
        row += len(boxes)


def _has_malformed(boxes: pa.Table) -> bool:
    return bool((malformed_position(boxes) >= 0).any())
