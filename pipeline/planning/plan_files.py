"""Plan files: photos in plan order -> units and their boxes on disk, and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.storage.folder import Folder
from pipeline.storage.tables import open_parquet
from schemas.plan import PLANNED_BOXES, UNITS
from schemas.shards import SPLITS

UNITS_PER_FILE = 64
PLAN = "run/plan"


def read_units(out: Folder) -> pa.Table:
    """Read the plan's units, ordered by number."""
    with out.fs.open(out.path(f"{PLAN}/units.parquet"), "rb") as file:
        return open_parquet(file).read(use_threads=False).cast(UNITS).sort_by("unit")


def read_unit_boxes(out: Folder, *, file: str, row_group: int) -> pa.Table:
    """Read PLANNED_BOXES of one unit, photo after photo."""
    with out.fs.open(out.path(f"{PLAN}/{file}"), "rb") as opened:
        return open_parquet(opened).read_row_group(row_group, use_threads=False)


class PhotosIntoUnits:
    """Cuts a stream of photos into units of equal size, split by split, and writes them below a local folder.

    A unit is numbered when its first photo comes, and written when it is full: units of all splits fill side by side.

    Attributes:
        files: what has been written, the table of units last; complete after `close`.
        count: units begun so far.
    """

    def __init__(self, folder: Path, photos_per_unit: int) -> None:
        self.files: list[Path] = []
        self.count = 0
        self._folder = folder
        self._photos_per_unit = photos_per_unit
        # By split: photos seen so far, and number and rows of the unit that is being filled, if any.
        self._photos_seen = [0] * len(SPLITS)
        self._open_unit: list[int | None] = [None] * len(SPLITS)
        self._open_rows: list[list[pa.Table]] = [[] for _ in SPLITS]
        self._units: list[dict[str, Any]] = []  # rows of UNITS
        self._writer: pq.ParquetWriter | None = None

    def add(self, boxes: pa.Table) -> None:
        """Take the boxes of the next photos in plan order; a photo's boxes come together.

        Args:
            boxes: PLANNED_BOXES with `split`, a position in SPLITS, and `photo`, which rises by 1 from photo to photo.
        """
        split_of_row = boxes["split"].to_numpy()
        first_row_of_photo = np.flatnonzero(np.diff(boxes["photo"].to_numpy(), prepend=-1))
        rows_of_split = [np.flatnonzero(split_of_row == split) for split in range(len(SPLITS))]
        rows_taken = [0] * len(SPLITS)

        # Units are numbered in the order of the photos that open them, whatever their splits. Whatever a split has had
        # since its last opener fills the unit that was open until then.
        opens_unit = self._find_openers(split_of_row[first_row_of_photo])
        for row in first_row_of_photo[opens_unit]:
            split = int(split_of_row[row])
            end = int(np.searchsorted(rows_of_split[split], row))
            self._fill_unit(split, boxes, rows_of_split[split][rows_taken[split] : end])
            rows_taken[split] = end
            self._close_unit(split)
            self._open_unit[split] = self.count
            self.count += 1

        # The rest goes into units that later photos may fill further.
        for split, rows in enumerate(rows_of_split):
            self._fill_unit(split, boxes, rows[rows_taken[split] :])

    def close(self) -> None:
        """Write the units still open, and the table of all units."""
        for split in range(len(SPLITS)):
            self._close_unit(split)
        if self._writer:
            self._writer.close()
        self.files.append(self._folder / "units.parquet")
        pq.write_table(pa.Table.from_pylist(self._units, schema=UNITS), self.files[-1])

    def _find_openers(self, split_of_photo: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Mark the photos that open a unit: the first of their split, and each photos_per_unit-th after it."""
        opens = np.zeros(len(split_of_photo), bool)
        for split in range(len(SPLITS)):
            photos = np.flatnonzero(split_of_photo == split)
            position_in_split = self._photos_seen[split] + np.arange(len(photos))
            opens[photos] = position_in_split % self._photos_per_unit == 0
            self._photos_seen[split] += len(photos)
        return opens

    def _fill_unit(self, split: int, boxes: pa.Table, rows: NDArray[np.int64]) -> None:
        if len(rows):
            self._open_rows[split].append(boxes.take(rows).select(PLANNED_BOXES.names).cast(PLANNED_BOXES))

    def _close_unit(self, split: int) -> None:
        """Write the open unit of a split, if there is one, as a row group of its own."""
        if self._open_unit[split] is None:
            return
        row_group = len(self._units) % UNITS_PER_FILE
        if row_group == 0:
            if self._writer:
                self._writer.close()
            self.files.append(self._folder / f"units-{len(self._units) // UNITS_PER_FILE:05d}.parquet")
            self._writer = pq.ParquetWriter(
                self.files[-1], PLANNED_BOXES, write_statistics=False, use_dictionary=["image_id", "label"]
            )
        assert self._writer
        rows = pa.concat_tables(self._open_rows[split]).combine_chunks()
        self._writer.write_table(rows, row_group_size=len(rows))
        photos = len(rows["image_id"].unique())
        place = {"file": self.files[-1].name, "row_group": row_group}
        self._units.append(
            {"unit": self._open_unit[split], "split": SPLITS[split], "photos": photos, "boxes": len(rows), **place}
        )
        self._open_unit[split], self._open_rows[split] = None, []
