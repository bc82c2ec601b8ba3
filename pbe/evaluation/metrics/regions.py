"""Regions: result and mask -> the part of the result that is compared with the exemplar. Imports no torch."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pbe.editing.canvas import hole_box
from pbe.evaluation.metrics.encoders.preparation import squash
from pipeline.arrays import Hole, PixelBox, Pixels

OFFICIAL_PX = 224


def rectangle_of(mask: Hole) -> PixelBox:
    """Return the smallest rectangle that holds the whole hole, all of its pieces.

    Raises:
        ValueError: there is no hole.
    """
    if not mask.any():
        raise ValueError("the mask is empty")
    return hole_box(mask)


def fixed_view(result: Pixels, mask: Hole, side: int) -> Pixels:
    """Cut the mask's rectangle out of a result and squash it to [side, side, 3] uint8, with antialias.

    Raises:
        ValueError: the sizes differ, or the mask is empty.
    """
    left, top, right, bottom = _rectangle_in(result, mask)
    return squash(result[top:bottom, left:right], side)


def official_view(result: Pixels, mask: Hole) -> NDArray[np.float32] | None:
    """Cut as the paper's published evaluation does: [224, 224, 3] float32 in 0..1.

    It takes the rectangle's last row and column for its exclusive end, and so leaves them out, and resizes bilinearly
    without antialias, as torchvision did with tensors. It is defined for masks that are rectangles; of others, this
    takes the rectangle around them.

    Returns:
        None where nothing remains of a rectangle that is 1 px wide or high.

    Raises:
        ValueError: see `fixed_view`.
    """
    left, top, right, bottom = _rectangle_in(result, mask)
    part = result[top : bottom - 1, left : right - 1]
    if not part.size:
        return None
    resized = cv2.resize(part.astype(np.float32), (OFFICIAL_PX, OFFICIAL_PX), interpolation=cv2.INTER_LINEAR)
    view: NDArray[np.float32] = np.clip(resized / np.float32(255), 0, 1)
    return view


def _rectangle_in(result: Pixels, mask: Hole) -> PixelBox:
    if result.shape[:2] != mask.shape:
        raise ValueError(f"result {result.shape} and mask {mask.shape} differ in size")
    return rectangle_of(mask)
