"""Pasting: source, mask and exemplar -> the source with the exemplar in its hole, as it is. Imports no torch."""

import cv2
import numpy as np

from pbe.editing.canvas import hole_box
from pipeline.arrays import Hole, Pixels


def paste_exemplar(source: Pixels, mask: Hole, exemplar: Pixels, exemplar_mask: Hole | None = None) -> Pixels:
    """Paste an exemplar into a hole; nothing outside the hole changes.

    Without a mask of its own all of the exemplar is stretched over the hole's rectangle. With one the object alone is
    pasted, in its own proportions, as large as fits, in the middle.

    Args:
        source: [h, w, 3] uint8 sRGB.
        mask: [h, w] bool, True = the hole; not empty.
        exemplar: [eh, ew, 3] uint8 sRGB.
        exemplar_mask: [eh, ew] bool, True = the object; not empty.
    """
    pasted, _ = paste_object(source, mask, exemplar, exemplar_mask)
    return pasted


def paste_object(
    source: Pixels, mask: Hole, exemplar: Pixels, exemplar_mask: Hole | None = None
) -> tuple[Pixels, Hole]:
    """Paste as `paste_exemplar` does, and also return which pixels were pasted: [h, w] bool."""
    left, top, right, bottom = hole_box(mask)
    width, height = right - left, bottom - top
    if exemplar_mask is None:
        laid, counts = _scale(exemplar, width, height), np.ones((height, width), np.bool_)
    else:
        x, y, x_end, y_end = hole_box(exemplar_mask)
        scale = min(width / (x_end - x), height / (y_end - y))
        size = max(round(scale * (x_end - x)), 1), max(round(scale * (y_end - y)), 1)
        laid = _scale(exemplar[y:y_end, x:x_end], *size)
        counts = _scale(exemplar_mask[y:y_end, x:x_end].astype(np.uint8) * np.uint8(255), *size) > 127
    rows, columns = counts.shape
    left, top = left + (width - columns) // 2, top + (height - rows) // 2
    place = slice(top, top + rows), slice(left, left + columns)
    where = np.zeros_like(mask)
    where[place] = counts & mask[place]
    pasted = source.copy()
    pasted[place][where[place]] = laid[where[place]]
    return pasted, where


def _scale(pixels: Pixels, width: int, height: int) -> Pixels:
    pixels = np.ascontiguousarray(pixels)
    smaller = width * height < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(pixels, (width, height), interpolation=method)  # type: ignore[return-value]
