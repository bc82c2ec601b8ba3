"""Checks: what a method returned -> a picture of its case, or why it is none. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from pbe.editing.inputs import read_picture
from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.protocol import CaseError
from pipeline.arrays import Pixels
from pipeline.errors import InputError


def check_pictures(edited: object, case: OpenedCase, variants: Sequence[str]) -> dict[str, Pixels]:
    """Check all that a method returned for one case.

    Args:
        edited: see `pbe.evaluation.methods.protocol.Edited`.
        variants: of the method; one that is empty: it has none.

    Returns:
        Its pictures by variant, in their order; see `check_picture`.

    Raises:
        CaseError: the method says why there is none, or what it gave is none.
    """
    if isinstance(edited, CaseError):
        raise edited
    if tuple(variants) == ("",) and not isinstance(edited, Mapping):
        return {"": check_picture(edited, case)}
    if not isinstance(edited, Mapping):
        raise CaseError(f"gives {_kind(edited)}, not a picture for each of its variants {', '.join(variants)}")
    if set(edited) != set(variants):
        given = ", ".join(map(str, edited)) or "none"
        raise CaseError(f"gives pictures for the variants {given}; it has {', '.join(variants) or 'none'}")
    return {variant: check_picture(edited[variant], case) for variant in variants}


def check_picture(edited: object, case: OpenedCase) -> Pixels:
    """Take a method's picture of a case: an array, or a PIL image.

    Returns:
        [h, w, 3] uint8 sRGB in the source's size, contiguous, and no view of what was given.

    Raises:
        CaseError: it is something else; says what.
    """
    if isinstance(edited, Image.Image):
        edited = _from_image(edited)
    if not isinstance(edited, np.ndarray):
        raise CaseError(f"gives {_kind(edited)}; a picture is an array [h, w, 3] of uint8, or a PIL image")
    if edited.dtype != np.uint8:
        raise CaseError(f"gives an array of {edited.dtype}{_faults(edited)}; a picture has uint8, 0..255")
    if edited.shape[2:] != (3,):
        raise CaseError(f"gives an array of shape {list(edited.shape)}; a picture has [h, w, 3]")
    (height, width), (rows, columns) = case.source.shape[:2], edited.shape[:2]
    if (rows, columns) != (height, width):
        raise CaseError(f"gives a picture of {columns} x {rows} px for a source of {width} x {height}")
    return np.array(edited, order="C")


def _from_image(image: Image.Image) -> Pixels:
    try:
        return read_picture(image, "its picture")
    except InputError as error:
        raise CaseError(f"gives {error}") from error


def _faults(array: np.ndarray[Any, Any]) -> str:
    """Count the numbers that are not finite; empty: all are, or they are no numbers."""
    if not np.issubdtype(array.dtype, np.inexact):
        return ""
    count = int((~np.isfinite(array)).sum())
    return f", {count} of its {array.size} numbers not finite" if count else ""


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__module__}.{type(value).__qualname__}"
