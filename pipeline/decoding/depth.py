"""Depth: values of 16 or 32 bits -> 8 bits, by which of them is white."""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import PhotoError

EIGHT_BITS, TWELVE_BITS, SIXTEEN_BITS = 255.0, 4095.0, 65535.0
DARK_SHARE = 1 / 16  # of white: a picture whose brightest value is below it shows nothing
_BITS_A_SAMPLE = 258  # of TIFF
DEEP = 16
_PNG = b"\x89PNG\r\n\x1a\n"

Values = NDArray[Any]  # [h, w], numbers of any kind


def is_deep(image: Image.Image) -> bool:
    """Whether an image's values are wider than 8 bits."""
    return image.mode.startswith(("I", "F"))


def bits_a_channel(image: Image.Image, data: bytes) -> int:
    """Tell how many bits a value has in a PNG or TIFF, of which Pillow may keep the upper 8 alone; 8: of any other."""
    if data.startswith(_PNG):
        return max(8, data[24]) if len(data) > len(_PNG) + 16 else 8
    bits = getattr(image, "tag_v2", {}).get(_BITS_A_SAMPLE, (8,))
    return max((8, *(value for value in bits if isinstance(value, int)))) if isinstance(bits, tuple) else 8


def white_of_picture(strips: Iterable[Values], mode: str) -> float:
    """Find which value of a picture is white: 12-bit cameras write files of 16 bits, floats up to 1 are shares.

    Raises:
        PhotoError: `too_dark`: at its depth it is black; `not_finite`: a value is no number.
    """
    largest = _largest(strips)
    white = _white(largest, mode)
    # 8-bit values in a file of 16 bits may as well be those of a night: nothing tells which.
    white = TWELVE_BITS if mode.startswith("I;16") and white == EIGHT_BITS else white
    if largest < white * DARK_SHARE:
        raise PhotoError("too_dark", f"its brightest value is {largest:g} of {white:g}")
    return white


def white_of_mask(strips: Iterable[Values], mode: str) -> float:
    """Find which value of a mask is white; numbers up to 255 are themselves.

    Raises:
        PhotoError: `not_finite`: a value is no number.
    """
    return _white(_largest(strips), mode)


def to_8_bit(values: Values, white: float) -> NDArray[np.uint8]:
    """Scale values so that white becomes 255."""
    return np.clip(np.rint(values.astype(np.float64) / white * 255), 0, 255).astype(np.uint8)


def has_12_bits(image: Image.Image, data: bytes) -> bool:
    """Whether a loaded colour picture of 16 bits, of which Pillow keeps the upper 8, has values of 12 bits alone."""
    if image.mode not in ("RGB", "RGBA", "LA") or bits_a_channel(image, data) != DEEP:
        return False
    extrema = image.getextrema()
    return all(int(most) <= int(TWELVE_BITS) >> 8 for _, most in extrema[: _colours(len(extrema))])  # type: ignore[misc]


def read_12_bits(data: bytes, upper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read the values of a picture that `has_12_bits` anew, by a decoder that keeps them.

    Args:
        upper: [h, w, c], the upper 8 of 16 bits, with alpha last where c is 2 or 4; overwritten.

    Returns:
        The same with the 8 bits that count.

    Raises:
        PhotoError: `too_dark`.
    """
    try:
        decoded: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        decoded = None
    deep = None if decoded is None else _as_pillow(decoded, upper.shape[2])
    if deep is None or deep.dtype != np.uint16 or deep.shape != upper.shape:
        raise PhotoError("too_dark", f"its brightest value is at most {TWELVE_BITS:g} of {SIXTEEN_BITS:g}")
    colours = _colours(upper.shape[2])
    parts = [slice(0, colours), slice(colours, None)]
    whites = [white_of_picture(deep[..., :colours], "I;16"), _white(float(deep[..., colours:].max(initial=0)), "I;16")]
    for line, values in zip(upper, deep, strict=True):
        # Another decoder may turn or arrange pixels otherwise: its upper bits must be those that are there already.
        if not np.array_equal(values >> 8, line):
            raise PhotoError("corrupt", "two decoders see two pictures")
        for part, white in zip(parts, whites, strict=True):
            line[:, part] = to_8_bit(values[:, part], white)
    return upper


def _colours(channels: int) -> int:
    return 1 if channels <= len("LA") else 3


def _as_pillow(decoded: NDArray[Any], channels: int) -> NDArray[Any] | None:
    """Bring OpenCV's channels, blue first, into Pillow's order; a grey picture with alpha comes as colour."""
    if decoded.ndim < len("hwc") or decoded.shape[2] < len("rgb"):
        return None
    if channels == len("LA"):
        return decoded[..., [0, -1]]
    return decoded[..., [2, 1, 0, 3][:channels]] if decoded.shape[2] >= channels else None


def _largest(strips: Iterable[Values]) -> float:
    largest = max(float(strip.max(initial=0)) if np.isfinite(strip).all() else np.nan for strip in strips)
    if not np.isfinite(largest):
        raise PhotoError("not_finite", "a value of it is NaN or infinite")
    return largest


def _white(largest: float, mode: str) -> float:
    if mode == "F" and largest <= 1:
        return 1.0
    return next((white for white in (EIGHT_BITS, TWELVE_BITS) if largest <= white), SIXTEEN_BITS)
