"""Tasks: what a unit is made of, from the plan's rows to drawn photos."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.draws.draw import DrawnSample, DrawRecipe, draw_sample
from pipeline.errors import PhotoError
from pipeline.photos.decode import Photo
from pipeline.shards.samples import Row


@dataclass(frozen=True)
class UnitTask:
    """A unit, and the draws of it that are still to be made."""

    unit: int
    split: str
    photos: int
    file: str  # of the plan
    row_group: int
    draws: tuple[int, ...]


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
        """The box that a draw takes."""
        return self.boxes[draw % len(self.boxes)]


Drawer = Callable[[Photo, PlannedPhoto, int, DrawRecipe], DrawnSample]


def draw_planned_box(photo: Photo, planned: PlannedPhoto, draw: int, recipe: DrawRecipe) -> DrawnSample:
    """Draw one sample around the box that the plan gives the draw.

    Raises:
        DrawError: the draw cannot be made.
    """
    box = planned.box_of(draw)
    return draw_sample(photo, box["box"], recipe=recipe, image_id=planned.image_id, box_id=box["box_id"], draw=draw)


class Clock:
    """Adds up the seconds of each stage; they go to the summary, never into the dataset."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


@dataclass(frozen=True)
class ReadPhoto:
    """A photo's bytes, or the reason why there are none."""

    photo: PlannedPhoto
    data: bytes | PhotoError
    clock: Clock


@dataclass(frozen=True)
class DrawnPhoto:
    """What a photo gave: a sample or the reason for none, by draw."""

    photo: PlannedPhoto
    facts: Row = field(default_factory=dict)  # of the index: size, orientation, hashes
    draws: dict[int, DrawnSample | PhotoError] = field(default_factory=dict)
    lost: PhotoError | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


def group_photos(rows: pa.Table) -> list[PlannedPhoto]:
    """Gather PLANNED_BOXES, photo after photo, into photos."""
    photos: list[PlannedPhoto] = []
    for row in rows.to_pylist():
        if not photos or photos[-1].image_id != row["image_id"]:
            place = (row["archive"], row["archive_offset"] or 0, row["archive_size"] or 0)
            photos.append(PlannedPhoto(row["image_id"], row["rotation"], *place, boxes=[]))
        photos[-1].boxes.append({name: row[name] for name in ("box_id", "label", "box")})
    return photos
