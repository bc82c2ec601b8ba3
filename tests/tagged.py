"""Tagged boxes for tests: index rows -> a list for --deny."""

import csv
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from schemas.boxes import COORDINATE_COLUMNS
from schemas.tagged import TAGGED_COLUMNS


def read_index(dataset: Path) -> list[dict[str, Any]]:
    """Read the index of a dataset, in the order of its keys."""
    rows = ds.dataset(dataset / "index", format="parquet").to_table().sort_by("key").to_pylist()
    return [dict(row) for row in rows]


def write_tagged(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows of an index as boxes, and rows with nothing but an image id as photos."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, TAGGED_COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            sides = zip(COORDINATE_COLUMNS, row.get("box_source", ()), strict=False)
            writer.writerow({**row, **dict(sides)})
