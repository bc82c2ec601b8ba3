"""Traced masks: the pixels of a photo to repaint -> the polygon of a crop.

The polygon goes round the mask as it is at the encoding resolution, so that `raster_mask` gives just that back, pixel
for pixel, with all its pieces and holes.
"""

import cv2
import numpy as np

from pipeline.arrays import Mask, Polygon, Sides
from pipeline.draws.crops import Crop
from pipeline.draws.mask_pictures import resize_mask
from pipeline.draws.rings import join_rings
from pipeline.errors import DrawError

MAX_POINTS = 20_000  # 160 KB of an index row; hair and foliage at 512 px have about 3,000


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
    encoded = resize_mask(mask[top:bottom, left:right], resolution, resolution)
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
