"""Mask images: a picture of any mode -> which pixels to repaint. White = repaint = True.

Transparent pixels count as black. A mask whose largest value is 1 holds 0 and 1; in any other the upper half of the
mode's range is white.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]

_SIZE_TOLERANCE = 0.01  # of a side, by which a mask of the same aspect may miss its source after scaling


def mask_from_image(image: Image.Image) -> Mask:
    """Read a mask image of any mode, turned upright by its EXIF orientation: [h, w] bool, True = repaint."""
    levels = _levels(image)
    largest = float(levels.max(initial=0))
    full = 1.0 if largest <= 1 else 255.0 if largest <= 255 else 65535.0
    repaint: Mask = levels > full / 2
    return repaint


def fit_mask(mask: Mask, height: int, width: int) -> Mask | None:
    """Scale a mask [h, w] to a source's size where it has its aspect, to within 1 % of a side or 1 px; else None."""
    h, w = mask.shape
    if (h, w) == (height, width):
        return mask
    scale = max(height / h, width / w)
    for side, wanted in ((h, height), (w, width)):
        if abs(side * scale - wanted) > max(_SIZE_TOLERANCE * wanted, scale, 1):
            return None
    scaled = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(scaled)


def _levels(image: Image.Image) -> NDArray[Any]:
    """One level a pixel, [h, w], of 0..1, 0..255 or 0..65535."""
    if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
        return np.asarray(image)
    if image.mode == "P" and "transparency" not in image.info:
        return np.asarray(image.convert("RGB").convert("L"))
    if image.mode in ("RGB", "CMYK", "YCbCr", "LAB", "HSV"):
        return np.asarray(image.convert("RGB").convert("L"))
    shown = np.asarray(image.convert("RGBA"), np.float32)
    luminance = shown[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(luminance * shown[..., 3] / 255).astype(np.uint8)
