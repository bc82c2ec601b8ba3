"""Tasks: rows of the plan -> units to work on, and the photos of a unit."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class UnitTask:
    """A unit, and its draws that are still to be made."""

    unit: int
    split: str
    photos: int
    file: str  # of the plan, with the row group that holds the unit
    row_group: int
    draws: tuple[int, ...]
    finished: tuple[int, ...]  # its other draws


@dataclass(frozen=True)
class PlannedPhoto:
    """A photo of the plan; its boxes in the order in which draws take them."""

    image_id: str
    rotation: float | None
    archive: str | None
    archive_offset: int
    archive_size: int
    boxes: list[dict[str, Any]]  # box_id, label, box

    def box_of(self, draw: int) -> dict[str, Any]:
        """Return the box that a draw takes."""
        return self.boxes[draw % len(self.boxes)]


def group_photos(rows: pa.Table) -> list[PlannedPhoto]:
    """Gather PLANNED_BOXES, which stand photo after photo, into photos."""
    photos: list[PlannedPhoto] = []
    for row in rows.to_pylist():
        if not photos or photos[-1].image_id != row["image_id"]:
            place = (row["archive"], row["archive_offset"] or 0, row["archive_size"] or 0)
            photos.append(PlannedPhoto(row["image_id"], row["rotation"], *place, boxes=[]))
        photos[-1].boxes.append({name: row[name] for name in ("box_id", "label", "box")})
    return photos
