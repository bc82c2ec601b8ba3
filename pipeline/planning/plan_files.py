"""Plan files: photos in plan order -> units and their boxes on disk, and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.storage.folder import Folder
from schemas.plan import PLANNED_BOXES, UNITS
from schemas.shards import SPLITS

UNITS_PER_FILE = 64
PLAN = "run/plan"


def read_units(out: Folder) -> pa.Table:
    """Read the plan's units, ordered by number."""
    with out.fs.open(out.path(f"{PLAN}/units.parquet"), "rb") as file:
        return pq.read_table(file, schema=UNITS).sort_by("unit")


def read_unit_boxes(out: Folder, *, file: str, row_group: int) -> pa.Table:
    """Read PLANNED_BOXES of one unit, photo after photo."""
    with out.fs.open(out.path(f"{PLAN}/{file}"), "rb") as opened:
        return pq.ParquetFile(opened).read_row_group(row_group)


class PhotosIntoUnits:
    """Cut photos into units, split by split, in the order of photos: a unit is numbered when its first photo comes."""

    def __init__(self, folder: Path, photos_per_unit: int) -> None:
        self._folder = folder
        self._photos_per_unit = photos_per_unit
        self._numbers: list[int | None] = [None] * len(SPLITS)  # of the open unit of each split
        self._photos = [0] * len(SPLITS)  # in the open unit
        self._rows: list[list[pa.Table]] = [[] for _ in SPLITS]
        self._units: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self.files: list[Path] = []
        self.count = 0

    def add(self, photos: pa.Table) -> None:
        """Take the next photos in plan order."""
        splits = photos["split"].to_numpy()
        starts = np.flatnonzero(np.diff(photos["photo"].to_numpy(), prepend=-1))
        photo_split = splits[starts]
        openers: list[tuple[int, int, int]] = []  # (first row, split, position in its split) of photos that open a unit
        for split in range(len(SPLITS)):
            own = np.flatnonzero(photo_split == split)
            room = self._photos_per_unit - self._photos[split] if self._numbers[split] is not None else 0
            openers += [(int(starts[own[at]]), split, at) for at in range(room, len(own), self._photos_per_unit)]
        rows_of = [np.flatnonzero(splits == split) for split in range(len(SPLITS))]
        photos_of = [np.flatnonzero(photo_split == split) for split in range(len(SPLITS))]
        done_rows, done_photos = [0] * len(SPLITS), [0] * len(SPLITS)
        for first_row, split, at in sorted(openers):
            end = int(np.searchsorted(rows_of[split], first_row))
            self._extend(split, photos, rows_of[split][done_rows[split] : end], at - done_photos[split])
            done_rows[split], done_photos[split] = end, at
            self._close_unit(split)
            self._numbers[split] = self.count
            self.count += 1
        for split in range(len(SPLITS)):
            rest = rows_of[split][done_rows[split] :]
            self._extend(split, photos, rest, len(photos_of[split]) - done_photos[split])

    def close(self) -> None:
        """Write the units still open, and the table of all units."""
        for split in range(len(SPLITS)):
            self._close_unit(split)
        if self._writer:
            self._writer.close()
        self.files.append(self._folder / "units.parquet")
        pq.write_table(pa.Table.from_pylist(self._units, schema=UNITS), self.files[-1])

    def _extend(self, split: int, photos: pa.Table, rows: NDArray[np.int64], count: int) -> None:
        if len(rows):
            self._rows[split].append(photos.take(rows).select(PLANNED_BOXES.names).cast(PLANNED_BOXES))
            self._photos[split] += count

    def _close_unit(self, split: int) -> None:
        if self._numbers[split] is None or not self._rows[split]:
            return
        place = len(self._units) % UNITS_PER_FILE
        if place == 0:
            if self._writer:
                self._writer.close()
            self.files.append(self._folder / f"units-{len(self._units) // UNITS_PER_FILE:05d}.parquet")
            self._writer = pq.ParquetWriter(
                self.files[-1], PLANNED_BOXES, write_statistics=False, use_dictionary=["image_id", "label"]
            )
        assert self._writer
        rows = pa.concat_tables(self._rows[split]).combine_chunks()
        self._writer.write_table(rows, row_group_size=len(rows))
        facts = {"photos": self._photos[split], "boxes": len(rows), "file": self.files[-1].name, "row_group": place}
        self._units.append({"unit": self._numbers[split], "split": SPLITS[split], **facts})
        self._rows[split], self._photos[split], self._numbers[split] = [], 0, None
