"""Canvas: a source of any size and its mask -> the square crop that is edited -> its place in the source again.

Masks are [h, w] bool with True = repaint. Only pixels of the crop ever change.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Hole, PixelBox, Pixels
from pipeline.decoding.colour import Planes
from pipeline.decoding.profiles import from_srgb
from pipeline.decoding.resize import resize
from pipeline.draws.crops import Crop
from pipeline.draws.mask_pictures import cut_shares, repainted_shares

Share = NDArray[np.float32]
Blend = Literal["hole", "crop", "paste"]
Context = Literal["auto", "whole"]

SQUASH_SHARE = 3 / 4  # of the crop's side: the largest hole for which a square is cut
FEATHER_SHARE = 1 / 16  # of the crop's side, around the hole or along the crop's sides
INNER_FEATHER_SHARE = 1 / 64  # inside the hole, where nothing outside it may change; no more than half its thickness
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def hole_box(mask: Hole) -> PixelBox:
    """Return the smallest box of pixels around a hole that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True)
class Aims:
    """Between which shares of the crop's side a hole's longest side is to lie, 0 < least <= most <= 1."""

    least: float = 1 / 4
    most: float = 2 / 3


AIMS = Aims()
"""For a model that says nothing of its training."""


def aims_within(hole_sides: Mapping[str, float] | None) -> Aims:
    """Bring the aims between the 5th and the 95th percentile of a training's holes.

    No further: the crop should be as large as the model's picture for as many holes as possible, since a smaller one
    is enlarged and shows less of the source, and holes that a tenth of the samples had are no strangers to the model.

    Args:
        hole_sides: of the model's note, see `pbe.weights.hole_sides`; None: it has none, which changes nothing.
    """
    if hole_sides is None:
        return AIMS
    low, high = hole_sides["5"], hole_sides["95"]
    return Aims(min(max(AIMS.least, low), high), min(max(AIMS.most, low), high))


def crop_for_editing(mask: Hole, resolution: int, *, context: Context = "auto", aims: Aims = AIMS) -> Crop:
    """Choose the part of the source around the hole that goes to the model.

    A square around the hole, moved into the source, never larger than the source's short side. Where the hole is too
    long for that along the source's long side, an oblong, squashed to a square, as training does with complete photos.

    Args:
        resolution: px along a side of the model's picture.
        context: `auto`: as large as the model's picture where that gives the hole a share of the side within the aims,
            else as little smaller or larger as does. A hole that takes more than 3/4 (or the larger aim) of the largest
            square along the source's long side gets an oblong in which it takes that share along it.
            `whole`: the largest square; the complete source where the hole is longer than its short side.
    """
    height, width = mask.shape
    left, top, right, bottom = hole_box(mask)
    longest, short = max(right - left, bottom - top), min(width, height)
    if context == "whole":
        side = short if longest <= short else max(width, height)
    else:
        wanted = max(math.ceil(longest / aims.most), min(resolution, math.floor(longest / aims.least)))
        along = right - left if width > height else bottom - top  # the only side that can have more than a square's
        least = math.ceil(along / max(aims.most, SQUASH_SHARE))
        side = min(wanted, short) if least <= short else least
    columns, rows = min(side, width), min(side, height)
    x = min(max((left + right - columns) // 2, 0), width - columns)
    y = min(max((top + bottom - rows) // 2, 0), height - rows)
    return Crop((x, y, x + columns, y + rows), "crop" if columns == rows else "squash")


def hole_side(mask: Hole, crop: Crop) -> float:
    """Return the longest side of the hole's box as the model sees it: a share of the crop's side, each axis by itself.

    What `pbe.weights.hole_sides` counts of a training.
    """
    left, top, right, bottom = crop.box
    x0, y0, x1, y1 = hole_box(mask)
    return max((x1 - x0) / (right - left), (y1 - y0) / (bottom - top))


def cut_mask(mask: Hole, crop: Crop, resolution: int) -> NDArray[np.uint8]:
    """Bring a mask to the model's picture: [resolution, resolution] uint8, 1 = repaint.

    A pixel of which half is to be repainted is repainted, as in one's own masks for training; of parts too
    thin for that, every pixel that they touch.
    """
    left, top, right, bottom = crop.box
    part = mask[top:bottom, left:right].astype(np.uint8)
    shares = repainted_shares(part, resolution, resolution)
    scaled = cut_shares(shares)
    thin = (shares > 0) & (cv2.dilate(scaled, _NEIGHBOURS) == 0)
    reduced: NDArray[np.uint8] = scaled | thin.astype(np.uint8)
    return reduced


def blend(source: Planes, edited: Pixels, mask: Hole, crop: Crop, *, how: Blend) -> Planes:
    """Put the edited crop back into a copy of the source, in the source's own colours; what it covers becomes opaque.

    Args:
        edited: [resolution, resolution, 3] uint8 sRGB.
        how: `hole`: what is repainted, with a seam that fades out around it. `crop`: the whole crop as decoded, with a
            seam along those of its sides that lie inside the source. `paste`: what is repainted, with a seam inside
            it, so that every pixel outside the mask stays as it is, bit for bit.
    """
    left, top, right, bottom = crop.box
    shown = scale_to(from_srgb(edited, source.space), right - left, bottom - top).astype(np.float32)
    under = source.pixels[top:bottom, left:right].astype(np.float32)
    over = seam(mask, crop, how=how)
    pixels = source.pixels.copy()
    if source.alpha is None:
        pixels[top:bottom, left:right] = np.rint(under + over[..., None] * (shown - under)).astype(np.uint8)
        return replace(source, pixels=pixels)
    # Each layer counts by how much of it shows: what lies unseen in transparent parts must not shine through.
    alpha = source.alpha.copy()
    kept = (1 - over) * alpha[top:bottom, left:right] / np.float32(255)
    opacity = kept + over
    share = np.divide(over, opacity, out=np.zeros_like(over), where=opacity > 0)[..., None]
    pixels[top:bottom, left:right] = np.rint(under + share * (shown - under)).astype(np.uint8)
    alpha[top:bottom, left:right] = np.rint(opacity * 255).astype(np.uint8)
    return replace(source, pixels=pixels, alpha=alpha)


def seam(mask: Hole, crop: Crop, *, how: Blend) -> Share:
    """Share of the edited picture at every pixel of the crop, [h, w] in [0, 1]."""
    return _SEAMS[how](mask, crop)


def _seam_of_hole(mask: Hole, crop: Crop) -> Share:
    """1 in the hole, falling to 0 over the feather around it; never more than the crop's own seam allows."""
    outside = 1 - _hole_in(mask, crop)
    around = np.clip(1 - _distance(outside) / np.float32(_feather(crop) + 1), 0, 1)
    alpha: Share = np.minimum(around, _seam_of_crop(mask, crop))
    return alpha


def _seam_of_crop(mask: Hole, crop: Crop) -> Share:
    """1, but rising from 0 along those sides of the crop that lie inside the source."""
    return _ramp_inward(mask.shape, crop, hole_box(mask), _feather(crop))


def _seam_of_paste(mask: Hole, crop: Crop) -> Share:
    """0 outside the hole, rising inside it from its edge."""
    hole = _hole_in(mask, crop)
    depth = _distance(hole)  # px to the nearest pixel outside
    if hole.all():
        return np.ones_like(depth)
    # The rise takes a feather, but no more than half of the largest depth nearby, so that thin holes reach 1, too.
    feather = round(INNER_FEATHER_SHARE * _side(crop))
    deepest = cv2.dilate(depth, np.ones((2 * feather + 1, 2 * feather + 1), np.uint8))
    alpha: Share = np.minimum(depth / np.minimum(deepest / 2, feather).clip(1), 1)
    return alpha


_SEAMS: dict[Blend, Callable[[Hole, Crop], Share]] = {
    "hole": _seam_of_hole,
    "crop": _seam_of_crop,
    "paste": _seam_of_paste,
}


def _hole_in(mask: Hole, crop: Crop) -> NDArray[np.uint8]:
    """Cut a mask to the crop: [h, w] uint8, 1 = repaint."""
    left, top, right, bottom = crop.box
    return np.ascontiguousarray(mask[top:bottom, left:right]).astype(np.uint8)


def _side(crop: Crop) -> int:
    left, top, right, bottom = crop.box
    return min(right - left, bottom - top)


def _feather(crop: Crop) -> float:
    return FEATHER_SHARE * _side(crop)


def _ramp_inward(shape: tuple[int, ...], crop: Crop, hole: PixelBox, feather: float) -> Share:
    """Rise from the crop's sides that lie inside the source to 1, which it has reached at the hole."""
    left, top, right, bottom = crop.box
    height, width = shape[:2]
    rows, columns = np.ones(bottom - top, np.float32), np.ones(right - left, np.float32)
    if left > 0:
        columns = np.minimum(columns, _rise(len(columns), min(feather, hole[0] - left)))
    if right < width:
        columns = np.minimum(columns, _rise(len(columns), min(feather, right - hole[2]))[::-1])
    if top > 0:
        rows = np.minimum(rows, _rise(len(rows), min(feather, hole[1] - top)))
    if bottom < height:
        rows = np.minimum(rows, _rise(len(rows), min(feather, bottom - hole[3]))[::-1])
    ramp: Share = np.minimum.outer(rows, columns)
    return ramp


def _rise(length: int, over: float) -> Share:
    """Rise from just above 0 to 1 over that many px: [length]; over 0 px all 1."""
    rise: Share = np.minimum((np.arange(length, dtype=np.float32) + 1) / np.float32(over + 1), 1)
    return rise


def _distance(inside: NDArray[np.uint8]) -> Share:
    """Distance in px from every pixel to the nearest 0, at 0 itself 0."""
    return cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)  # type: ignore[return-value]


def scale_to(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize to [height, width, 3]: by area where it shrinks (antialiased), else bicubic."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if width == height and width < len(pixels):
        return resize(pixels, width)
    method = cv2.INTER_AREA if min(width, height) < len(pixels) else cv2.INTER_CUBIC
    return cv2.resize(pixels, (width, height), interpolation=method)  # type: ignore[return-value]
