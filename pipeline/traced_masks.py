"""Traced masks: a mask picture -> the pixels to repaint -> the polygon of a crop.

White = repaint = 1, unless it is told otherwise. The polygon goes round the mask as it is at the encoding resolution,
so that `raster_mask` gives just that back, pixel for pixel, with all its pieces and holes.
"""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.crops import Crop
from pipeline.errors import DrawError
from pipeline.masks import Polygon, Sides
from pipeline.photos import decode_photo
from pipeline.rings import join_rings

Mask = NDArray[np.uint8]  # [h, w], 1 = repaint
Repaint = Literal["white", "black"]

BLACK, GREY, WHITE = 64, 128, 192  # darker is black, brighter white, and half of it a mask's edge
ASPECT_TOLERANCE = 0.01
MAX_POINTS = 20_000  # 160 KB of an index row; hair and foliage at 512 px have about 3,000


def decode_mask(data: bytes, *, max_pixels: int, repaint: Repaint = "white") -> Mask:
    """Decode a mask of any mode, upright; transparent parts are black.

    A mask of which no pixel is brighter than 1 of 255 is taken for one of numbers: 1 is white.

    Args:
        repaint: the colour that is repainted.

    Raises:
        PhotoError: it cannot be decoded.
        DrawError: `not_a_mask`: mostly neither black nor white; `empty_mask`: nothing is to be repainted.
    """
    opened = decode_photo(data, rotation=None, boxes_frame="exif", max_pixels=max_pixels, min_px=1, backdrop="black")
    grey = cv2.cvtColor(opened.pixels, cv2.COLOR_RGB2GRAY)
    white = grey >= (GREY if grey.max() > 1 else 1)
    bright, between = int((grey >= BLACK).sum()), int(((grey >= BLACK) & (grey < WHITE)).sum())
    if between > bright / 2:
        raise DrawError("not_a_mask", f"{between / grey.size:.0%} of it is neither black nor white")
    mask = white if repaint == "white" else ~white
    if not mask.any():
        raise DrawError("empty_mask", f"nothing of it is {repaint}, which marks what is repainted")
    return mask.astype(np.uint8)


def fit_mask(mask: Mask, width: int, height: int) -> Mask:
    """Bring a mask to the size of its photo.

    Raises:
        DrawError: `mask_size`: it has another shape.
    """
    rows, columns = mask.shape
    if (columns, rows) == (width, height):
        return mask
    if abs(columns * height - rows * width) > max(ASPECT_TOLERANCE * columns * height, width + height):
        raise DrawError("mask_size", f"{columns} x {rows} px, its upright photo has {width} x {height} px")
    return _resize(mask, width, height)


def mask_box(mask: Mask) -> Sides:
    """Find the box around a mask of the photo's size, in px.

    Raises:
        DrawError: `empty_mask`.
    """
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        raise DrawError("empty_mask", "nothing of it is left at the photo's size")
    return left, top, left + width, top + height


def trace_mask(mask: Mask, crop: Crop, resolution: int) -> Polygon:
    """Trace a mask in a crop.

    Args:
        mask: of the photo's size.

    Returns:
        [n, 2] x y, shares of the crop.

    Raises:
        DrawError: at this resolution the mask is empty, is all of the crop, or has an outline without end.
    """
    left, top, right, bottom = crop.box
    encoded = _resize(mask[top:bottom, left:right], resolution, resolution)
    if not encoded.any():
        raise DrawError("empty_mask", "the hole has no pixel at this resolution")
    if encoded.all():
        raise DrawError("full_mask", "it leaves nothing of the crop to keep")
    contours, _ = cv2.findContours(encoded, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    points = sum(map(len, contours))
    if points > MAX_POINTS:
        raise DrawError("ragged_mask", f"{len(contours)} outlines of {points} points, at most {MAX_POINTS}; smooth it")
    try:
        polygon = join_rings([contour[:, 0] for contour in contours])
    except ValueError as error:
        raise DrawError("ragged_mask", str(error)) from error
    return ((polygon + 0.5) / resolution).astype(np.float32)


def _resize(mask: Mask, width: int, height: int) -> Mask:
    """Resize a mask; a pixel of which half is to be repainted is repainted."""
    smaller = width < mask.shape[1] or height < mask.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(mask * np.uint8(255), (width, height), interpolation=method)
    return (resized >= GREY).astype(np.uint8)
