"""Greys: a photo's bytes -> two grey pictures of it: a small square one to hash, a larger one to align."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pbe.evaluation.overlap.windows import SMALL_PX, Grey
from pipeline.decoding.colour import on_backdrop
from pipeline.decoding.decode import decode_picture, open_header

ALIGNED_PX = 480  # along the longer side of the larger one, whatever the photo's size
MAX_PIXELS = 180_000_000
LEAST_PX = 16  # along the shorter side: what is smaller shows nothing to compare
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    (1, cv2.IMREAD_GRAYSCALE),
)


@dataclass(frozen=True)
class Greys:
    """A photo, as its file stores it: turned or not, which the search finds out by itself.

    Args:
        small: [SMALL_PX, SMALL_PX] float32, 0..255, whatever the photo's aspect.
        large: [h, w] uint8, the longer side ALIGNED_PX.
    """

    small: Grey
    large: NDArray[np.uint8]


def read_greys(data: bytes) -> Greys:
    """Decode a photo, a JPEG only as large as needed.

    Raises:
        PhotoError: with the reason.
    """
    grey = _decode(data)
    height, width = grey.shape
    scale = ALIGNED_PX / max(height, width)
    size = max(LEAST_PX, round(width * scale)), max(LEAST_PX, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(grey, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    return Greys(np.asarray(small, np.float32), np.asarray(cv2.resize(grey, size, interpolation=method), np.uint8))


def _decode(data: bytes) -> NDArray[np.uint8]:
    with open_header(data, max_pixels=MAX_PIXELS, min_px=LEAST_PX) as image:
        longest = max(image.size)
        plain = image.format == "JPEG" and image.mode in ("RGB", "L")
    if plain and data.endswith(b"\xff\xd9"):  # OpenCV keeps quiet when a JPEG ends early
        flags = next(flags for factor, flags in _REDUCED if factor == 1 or longest >= factor * ALIGNED_PX)
        try:
            grey = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:  # it has limits of its own; Pillow gives the reason, or the pixels
            grey = None
        if grey is not None:
            return np.asarray(grey, np.uint8)
    pixels = on_backdrop(decode_picture(data, max_pixels=MAX_PIXELS))
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
