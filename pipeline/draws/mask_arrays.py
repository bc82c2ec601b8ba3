"""Mask arrays: a mask as an array of bool, integers or floats -> its planes, like those of a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.decoding.colour import Planes
from pipeline.errors import InputError

MOST = 255
WANTED = "give [h, w] of bool, of integers 0 and 1 or 0..255, or of floats 0..1; or uint8 [h, w, 3] RGB, 0..255"


def planes_of(mask: Any) -> Planes:
    """Read a mask's array.

    Args:
        mask: [h, w] or [h, w, 1]: bool, integers (0 and 1, or 0..255), floats 0..1; or [h, w, 3] RGB and [h, w, 4] RGBA
            of uint8.

    Raises:
        InputError: it is of another kind or shape, or holds NaN or values out of range.
    """
    if not isinstance(mask, np.ndarray):
        raise InputError(f"mask: is a {type(mask).__name__}; give a path or URL, a PIL image, or an array")
    grey = mask[..., 0] if mask.shape[2:] == (1,) else mask
    if not mask.size or mask.dtype.kind not in "buif":
        raise _refusal(mask, WANTED)
    if grey.ndim == len("hw"):
        return Planes(np.repeat(_to_8_bit(grey)[..., None], 3, axis=2))
    if mask.dtype != np.uint8 or mask.shape[2:] not in ((3,), (4,)):
        raise _refusal(mask, WANTED)
    alpha = np.ascontiguousarray(mask[..., 3]) if mask.shape[2:] == (4,) else None
    return Planes(np.ascontiguousarray(mask[..., :3]), alpha)


def _to_8_bit(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring values [h, w] to 0..255, what is above 0 to 1 at least."""
    least, most = grey.min(), grey.max()  # NaN where a value is
    floats = grey.dtype.kind == "f"
    if not (least >= 0 and most <= (1 if floats else MOST)):
        raise _refusal(grey, f"its values go from {least:g} to {most:g}; {WANTED}")
    scaled = np.rint(grey * float(MOST)) if floats else grey
    return np.maximum(scaled, grey > 0).astype(np.uint8)


def _refusal(mask: NDArray[Any], remedy: str) -> InputError:
    return InputError(f"mask: array of {mask.dtype} {list(mask.shape)}; {remedy}")
