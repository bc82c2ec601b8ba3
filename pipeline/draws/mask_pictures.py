"""Mask files: a mask picture of any mode and size -> the pixels of its photo to repaint. White = repaint = 1."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Mask, Pixels
from pipeline.errors import DrawError
from pipeline.photos.decode import decode_photo
from schemas.pairs import Repaint

BLACK, GREY, WHITE = 64, 128, 192  # darker is black, brighter white, and half of it a mask's edge
ASPECT_TOLERANCE = 0.01
HALF = 0.5 - 1e-4


def decode_mask(data: bytes, *, max_pixels: int, repaint: Repaint = "white") -> Mask:
    """Decode a picture that must be a mask; transparent parts are black.

    Args:
        repaint: the colour that is repainted.

    Raises:
        PhotoError: it cannot be decoded.
        DrawError: `not_a_mask`: mostly neither black nor white; `empty_mask`: nothing is to be repainted.
    """
    photo = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=max_pixels, min_px=1, backdrop="black")
    grey = brightness(photo.pixels)
    bright, between = int((grey >= BLACK).sum()), int(((grey >= BLACK) & (grey < WHITE)).sum())
    if between > bright / 2:
        raise DrawError("not_a_mask", f"{between / grey.size:.0%} of it is neither black nor white")
    white = cut_at_half(grey)
    mask = white if repaint == "white" else 1 - white
    if not mask.any():
        raise DrawError("empty_mask", f"nothing of it is {repaint}, which marks what is repainted")
    return mask


def brightness(pixels: Pixels) -> NDArray[np.uint8]:
    """Turn RGB [h, w, 3] into brightness [h, w]."""
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def cut_at_half(grey: NDArray[np.uint8]) -> Mask:
    """Cut brightness [h, w] at half; where none exceeds 1 of 255 it holds numbers, of which 1 is white."""
    return (grey >= (GREY if grey.max(initial=0) > 1 else 1)).astype(np.uint8)


def fit_mask(mask: Mask, width: int, height: int) -> Mask:
    """Bring a mask to the size of its photo.

    Raises:
        DrawError: `mask_size`: it has another shape.
    """
    rows, columns = mask.shape
    if (columns, rows) == (width, height):
        return mask
    if not has_shape_of(columns, rows, width, height):
        raise DrawError("mask_size", f"{columns} x {rows} px, its upright photo has {width} x {height} px")
    return resize_mask(mask, width, height)


def has_shape_of(columns: int, rows: int, width: int, height: int) -> bool:
    """Whether a mask of columns x rows px has the aspect of a photo of width x height px, to within a row or 1 %."""
    return abs(columns * height - rows * width) <= max(ASPECT_TOLERANCE * columns * height, width + height)


def resize_mask(mask: Mask, width: int, height: int) -> Mask:
    """Resize a mask; a pixel of which half is to be repainted is repainted."""
    return cut_shares(repainted_shares(mask, width, height))


def repainted_shares(mask: Mask, width: int, height: int) -> NDArray[np.float32]:
    """Compute which share of every pixel is to be repainted when a mask is resized to [height, width]."""
    shares = mask.astype(np.float32)
    for target in ((width, len(mask)), (width, height)):  # one axis a time: OpenCV knows no area where only one shrinks
        smaller = target[0] < shares.shape[1] or target[1] < shares.shape[0]
        method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        shares = cv2.resize(shares, target, interpolation=method)  # type: ignore[assignment]
    return shares


def cut_shares(shares: NDArray[np.float32]) -> Mask:
    """Repaint pixels of which half is to be repainted, to within rounding."""
    return (shares > HALF).astype(np.uint8)
