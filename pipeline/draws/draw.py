"""Draws: an upright photo and a planned box -> source, mask and exemplar, with all that was chosen.

One draw is one random choice for one photo: which box, which crop, which mask, which exemplar augmentation,
and whether all of it is jittered.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Box, PixelBox, Pixels, Polygon, Sides
from pipeline.decoding.decode import Photo
from pipeline.decoding.jpeg import decode_jpeg
from pipeline.decoding.resize import cut
from pipeline.draws.crops import Crop, crop_around, extend_box, outer_px, zoom_in
from pipeline.draws.exemplars import Augmentation, augment_exemplar, crop_exemplar, exemplar_box
from pipeline.draws.jitter import Jitter, draw_jitter, jitter_pixels, mirror_points
from pipeline.draws.masks import draw_bezier_mask, rectangle
from pipeline.draws.raster import raster_mask
from pipeline.errors import DrawError
from pipeline.rng import rng_for

MaskShape = Literal["rectangle", "bezier", "traced"]

BEZIER_SHARE = 0.5
GREY = 128  # the masked source's hole in pictures; for the encoder it is exactly 0 in [-1, 1]


@dataclass(frozen=True)
class DrawRecipe:
    """The choices of the config that decide a draw."""

    seed: int
    resolution: int
    long_boxes: str
    min_box_px: int
    colour_jitter: float = 0.0


@dataclass(frozen=True)
class Draw:
    """What was chosen. Boxes in px of the upright photo; the polygon in shares of the crop, flipped if that is."""

    box: Box  # shares of the upright photo
    box_px: Sides
    extended_px: PixelBox
    crop: Crop
    exemplar_px: PixelBox  # empty: the exemplar is not a part of the photo
    mask_shape: MaskShape
    mask_polygon: Polygon
    jitter: Jitter | None = None


@dataclass(frozen=True)
class DrawnSample:
    """A draw as pixels, jittered.

    Args:
        box_source: the table's values.
        source: [resolution, resolution, 3] uint8 RGB.
        mask: [resolution, resolution] uint8, 1 = repaint.
        exemplar_jpeg: the stored exemplar, 224 x 224.
        exemplar: [224, 224, 3] uint8 RGB, augmented.
    """

    draw: Draw
    box_source: Box
    source: Pixels
    mask: NDArray[np.uint8]
    exemplar_jpeg: bytes
    exemplar: Pixels
    augmentation: Augmentation


def choose_draw(
    box: Box, *, width: int, height: int, recipe: DrawRecipe, image_id: str, box_id: int, draw: int
) -> Draw:
    """Choose crop and mask for a box.

    Args:
        box: shares of the upright photo.
        width, height: of the upright photo, in px.

    Raises:
        DrawError: the box is too small, or longer than the crop and not to be squashed.
    """
    rng = rng_for(recipe.seed, "draw", image_id, box_id, draw)
    box_px = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    inner, extended, crop = choose_crop(box_px, width=width, height=height, recipe=recipe, rng=rng)
    # From generators of its own: whether a sample is jittered changes no other choice.
    jitter = draw_jitter(recipe.colour_jitter, seed=recipe.seed, image_id=image_id, draw=draw)
    if jitter:
        crop = zoom_in(crop, extended, jitter["scale"], rng_for(recipe.seed, "jitter crop", image_id, draw))
    shape: MaskShape = "bezier" if rng.random() < BEZIER_SHARE else "rectangle"
    bezier = shape == "bezier"
    polygon = rectangle(extended)
    if bezier:
        polygon = draw_bezier_mask(box_px, extended, max(width, height), rng, bounds=crop.box)
    in_crop = mirror_points(np.clip(crop.shares(polygon), 0, 1), jitter).astype(np.float32)
    return Draw(box, box_px, extended, crop, exemplar_box(inner, width, height), shape, in_crop, jitter)


def choose_crop(
    box_px: Sides, *, width: int, height: int, recipe: DrawRecipe, rng: np.random.Generator
) -> tuple[PixelBox, PixelBox, Crop]:
    """Choose the crop around a box.

    Returns:
        The box in whole px, the extended box, and the crop.

    Raises:
        DrawError: see choose_draw.
    """
    shortest = min(box_px[2] - box_px[0], box_px[3] - box_px[1])
    if shortest < recipe.min_box_px:
        raise DrawError("box_too_small", f"{shortest:.1f} px")
    inner = outer_px(box_px, width, height)
    extended = extend_box(inner, width, height, rng)
    return inner, extended, crop_around(extended, width, height, rng, long_boxes=recipe.long_boxes)


def draw_sample(photo: Photo, box: Box, *, recipe: DrawRecipe, image_id: str, box_id: int, draw: int) -> DrawnSample:
    """Draw one sample from an upright photo.

    Args:
        box: the table's values, as planned.

    Raises:
        DrawError: the draw cannot be made.
    """
    height, width = photo.pixels.shape[:2]
    chosen = choose_draw(
        photo.turn_box(box), width=width, height=height, recipe=recipe, image_id=image_id, box_id=box_id, draw=draw
    )
    exemplar_jpeg = crop_exemplar(photo.pixels, chosen.exemplar_px, jitter=chosen.jitter)
    return render_draw(photo, chosen, exemplar_jpeg, box_source=box, recipe=recipe, image_id=image_id, draw=draw)


def render_draw(
    photo: Photo,
    chosen: Draw,
    exemplar_jpeg: bytes,
    *,
    box_source: Box,
    recipe: DrawRecipe,
    image_id: str,
    draw: int,
) -> DrawnSample:
    """Turn what was chosen into pixels.

    Raises:
        DrawError: the hole is empty.
    """
    exemplar, augmentation = augment_exemplar(
        decode_jpeg(exemplar_jpeg), seed=recipe.seed, image_id=image_id, draw=draw
    )
    source = jitter_pixels(cut(photo.pixels, chosen.crop.box, recipe.resolution), chosen.jitter)
    mask = raster_mask(chosen.mask_polygon, recipe.resolution)
    if not mask.any():
        raise DrawError("empty_mask", "the hole has no pixel at this resolution")
    return DrawnSample(chosen, box_source, source, mask, exemplar_jpeg, exemplar, augmentation)


def blank(source: Pixels, mask: NDArray[np.uint8]) -> Pixels:
    """Show the masked source: the source with mid-grey in the hole.

    Args:
        source: [h, h, 3] uint8.
        mask: [h, h] uint8, 1 = repaint.
    """
    masked = source.copy()
    cv2.copyTo(_grey(len(source)), mask, masked)
    return masked


@cache
def _grey(size: int) -> Pixels:
    return np.full((size, size, 3), GREY, np.uint8)
