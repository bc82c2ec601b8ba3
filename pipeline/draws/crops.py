"""Crops: a box in a photo -> its extended box and the square crop around it (data recipe of Paint by Example).

Pixel boxes are [left, top, right, bottom], right and bottom exclusive.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import PixelBox, Sides
from pipeline.errors import DrawError

EXTEND_SHARE = 0.4  # of the free space on each side
INSET_SHARE = 0.6  # of the smallest margin between extended box and crop

Fit = Literal["crop", "squash"]


@dataclass(frozen=True)
class Crop:
    """The part of a photo that becomes the source.

    Args:
        box: px of the photo.
        fit: `crop`: a square. `squash`: the extended box is longer than the photo's short side, so that the whole
            photo, less the inset, is squashed to a square.
    """

    box: PixelBox
    fit: Fit

    def shares(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn x y pairs in px of the photo, [n, 2], into shares of the crop."""
        left, top, right, bottom = self.box
        shares: NDArray[np.float64] = (points - (left, top)) / (right - left, bottom - top)
        return shares


def outer_px(box: Sides, width: int, height: int) -> PixelBox:
    """Return the smallest box of whole pixels around a box in px, inside the photo."""
    return (
        max(math.floor(box[0]), 0),
        max(math.floor(box[1]), 0),
        min(math.ceil(box[2]), width),
        min(math.ceil(box[3]), height),
    )


def extend_box(inner: PixelBox, width: int, height: int, rng: np.random.Generator) -> PixelBox:
    """Move each side outward by a uniform integer in [0, int(0.4 * free space on that side)]."""
    left, top, right, bottom = inner
    free = (left, top, width - right, height - bottom)
    moved = [_up_to(int(EXTEND_SHARE * space), u) for space, u in zip(free, rng.random(4).tolist(), strict=True)]
    return left - moved[0], top - moved[1], right + moved[2], bottom + moved[3]


def crop_around(extended: PixelBox, width: int, height: int, rng: np.random.Generator, *, long_boxes: str) -> Crop:
    """Draw the square crop that contains the extended box: slid along the photo's long axis, then inset.

    Args:
        long_boxes: `squash` or `drop`, where the extended box is longer than the photo's short side.

    Raises:
        DrawError: `longer_than_crop`, under `drop`.
    """
    side = min(width, height)
    axis = 0 if width >= height else 1
    longest = extended[axis + 2] - extended[axis]
    fit: Fit = "crop" if longest <= side else "squash"
    if fit == "squash" and long_boxes == "drop":
        raise DrawError("longer_than_crop", f"{longest} px, the crop has {side}")
    slide, inset = rng.random(2).tolist()  # both always, so that what is drawn next does not depend on the fit
    crop = [0, 0, width, height]
    if fit == "crop":
        first = max(0, extended[axis + 2] - side)
        last = min(extended[axis], max(width, height) - side)
        crop[axis] = first + _up_to(last - first, slide)
        crop[axis + 2] = crop[axis] + side
    left, top, right, bottom = crop
    margin = min(extended[0] - left, extended[1] - top, right - extended[2], bottom - extended[3])
    step = _up_to(int(INSET_SHARE * margin), inset)
    return Crop((left + step, top + step, right - step, bottom - step), fit)


def zoom_in(crop: Crop, extended: PixelBox, scale: float, rng: np.random.Generator) -> Crop:
    """Draw a smaller crop of the same shape anywhere in a crop, around the extended box.

    Args:
        scale: 0..1: 0 would leave just the extended box along the side that it fills most, 1 leaves the crop.
    """
    origin, end = crop.box[:2], crop.box[2:]
    sides = [end[axis] - origin[axis] for axis in (0, 1)]
    least = max((extended[axis + 2] - extended[axis]) / sides[axis] for axis in (0, 1))
    zoomed = [round((least + scale * (1 - least)) * side) for side in sides]
    first = [max(origin[axis], extended[axis + 2] - zoomed[axis]) for axis in (0, 1)]
    last = [min(extended[axis], end[axis] - zoomed[axis]) for axis in (0, 1)]
    x, y = (start + _up_to(stop - start, u) for start, stop, u in zip(first, last, rng.random(2).tolist(), strict=True))
    return Crop((x, y, x + zoomed[0], y + zoomed[1]), crop.fit)


def _up_to(largest: int, u: float) -> int:
    """Turn a uniform number in [0, 1) into a uniform integer in [0, largest]."""
    return int(u * (largest + 1))
