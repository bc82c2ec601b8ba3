"""Mask pictures: a mask picture of any mode and size -> the pixels of its photo to repaint. One judgement for all."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Mask, Pixels
from pipeline.decoding.colour import Alpha, Planes, on_backdrop
from pipeline.decoding.decode import decode_mask_planes
from pipeline.errors import DrawError
from schemas.pairs import Repaint

BLACK, GREY, WHITE = 16, 128, 240  # darker is black, from WHITE on white; cut at GREY
MOST_BETWEEN = 1 / 3  # of a mask's pixels are neither
MOST_LABELS = 16  # values of a label picture, whose brightest is below GREY
LEAST_BACKGROUND = 0.01  # of a label picture is 0; of a JPEG all black may have become 1
NEAR = 16  # of 255: the channels of grey differ by no more, nor do two shades of one colour
TRANSPARENT = "; if its transparency tells, give --repaint opaque, or --repaint transparent"
ASPECT_TOLERANCE = 0.01
HALF = 0.5 - 1e-4


def decode_mask(data: bytes, *, max_pixels: int, repaint: Repaint = "white") -> Mask:
    """Decode a picture that must be a mask.

    Args:
        repaint: see `find_hole`.

    Raises:
        PhotoError: it cannot be decoded.
        DrawError: it is not a mask; see `find_hole`.
    """
    return find_hole(decode_mask_planes(data, max_pixels=max_pixels), repaint)


def find_hole(planes: Planes, repaint: Repaint) -> Mask:
    """Find what a mask says is to be repainted. Transparent parts are black.

    Args:
        repaint: `white`, `black`: by brightness, cut at 128 of 255, of a picture that is mostly black and white;
            `nonzero`: all that is not black, as in label pictures; `opaque`, `transparent`: by alpha, cut at 128.

    Raises:
        DrawError: `not_a_mask`: mostly neither black nor white, or without the alpha that is to tell; `label_mask`:
            numbers or colours of classes; `alpha_mask`: alpha alone tells its parts apart; `empty_mask`: nothing is
            to be repainted.
    """
    if repaint in ("opaque", "transparent"):
        marked = _cut_alpha(planes, repaint)
    else:
        pixels = on_backdrop(planes, "black")
        visible = np.asarray(pixels.any(axis=2), np.uint8)
        marked = visible if repaint == "nonzero" else _cut_brightness(planes, pixels)
    hole: Mask = (marked == 0).astype(np.uint8) if repaint in ("black", "transparent") else marked
    if not hole.any():
        raise DrawError(
            "empty_mask",
            f"nothing of it is {repaint}, which marks what is repainted (its largest value is "
            f"{planes.pixels.max()} of 255); draw it white, or give another --repaint if there is one",
        )
    return hole


def _cut_alpha(planes: Planes, repaint: str) -> Mask:
    """Cut alpha at half: 1 = opaque."""
    if planes.alpha is None or planes.alpha.min() >= GREY:
        raise DrawError("not_a_mask", f"no part of it is transparent, as --repaint {repaint} needs; leave it out")
    _refuse_grey(planes.alpha, "opaque nor transparent")
    return (planes.alpha >= GREY).astype(np.uint8)


def _cut_brightness(planes: Planes, pixels: Pixels) -> Mask:
    """Cut brightness at half: 1 = white.

    Args:
        pixels: [h, w, 3], the mask on black.
    """
    if _is_one_colour(planes):
        raise DrawError(
            "alpha_mask",
            "it is one colour, in parts transparent; say which part is repainted: --repaint opaque, or --repaint "
            "transparent",
        )
    grey = brightness(pixels)
    counts = np.bincount(grey.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    if values[-1] <= 1:  # numbers, of which 1 is white
        return grey
    # Labels may hold 255, too, as VOC's outlines do: then one that is dark but not 0, which is there, has more pixels.
    outlined = counts[0] > LEAST_BACKGROUND * grey.size and counts[1:GREY].max() > counts[GREY:].sum()
    dark = values[-1] < GREY or outlined
    if len(values) <= MOST_LABELS and (dark or _colours(grey, pixels, values) > 1):
        raise DrawError(
            "label_mask",
            f"it holds labels (brightness {', '.join(map(str, values[:4]))}{' ...' if len(values) > 4 else ''}), not "
            "black and white; --repaint nonzero repaints all but 0",
        )
    _refuse_grey(grey, f"black nor white{TRANSPARENT if _varies(planes.alpha) else ''}")
    return (grey >= GREY).astype(np.uint8)


def _refuse_grey(values: NDArray[np.uint8], what: str) -> None:
    between = float(((values >= BLACK) & (values < WHITE)).mean())
    if between > MOST_BETWEEN:
        raise DrawError("not_a_mask", f"{between:.0%} of it is neither {what}")


def _is_one_colour(planes: Planes) -> bool:
    """Whether parts are transparent and parts not, and all that shows has one colour."""
    alpha = planes.alpha
    return alpha is not None and _varies(alpha) and bool((np.ptp(planes.pixels[alpha >= GREY], axis=0) <= NEAR).all())


def _varies(alpha: Alpha | None) -> bool:
    """Whether parts are transparent and parts not."""
    return alpha is not None and bool(alpha.min() < GREY <= alpha.max())


def _colours(grey: NDArray[np.uint8], pixels: Pixels, values: NDArray[np.intp]) -> int:
    """Count the colours, grey aside, by one pixel for each value of brightness."""
    firsts = [int(np.argmax(grey == value)) for value in values]
    return int((np.ptp(pixels.reshape(-1, 3)[firsts], axis=1) > NEAR).sum())


def brightness(pixels: Pixels) -> NDArray[np.uint8]:
    """Turn RGB [h, w, 3] into brightness [h, w]."""
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


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
