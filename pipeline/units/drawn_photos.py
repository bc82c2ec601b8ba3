"""Drawn photos: a photo of a unit, from bytes to drawn samples."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.decoding.decode import Photo
from pipeline.draws.draw import DrawnSample, DrawRecipe, draw_sample
from pipeline.errors import PhotoError
from pipeline.planning.tasks import PlannedPhoto
from pipeline.shards.samples import Row

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
