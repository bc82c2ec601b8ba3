"""Colour: a picture's hole and the exemplar -> how far apart their mean colours are. Imports no torch."""

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Hole, Pixels


def exemplar_colour_distance(result: Pixels, mask: Hole, exemplar: Pixels, exemplar_mask: Hole | None = None) -> float:
    """Measure the distance in CIELAB (CIE76: Euclidean; white D65) of two mean colours: the hole's and the exemplar's.

    Black and white are 100 apart; about 2.3 are just noticed. It says nothing about texture, shape or layout, and a
    pasted exemplar has about 0.

    Args:
        result: [h, w, 3] uint8 sRGB.
        mask: [h, w] bool, True = the hole.
        exemplar: [eh, ew, 3] uint8 sRGB.
        exemplar_mask: [eh, ew] bool, True = the object; None, or one that marks nothing: all of the exemplar counts.

    Raises:
        ValueError: a picture and its mask differ in size, or the mask is empty.
    """
    if not mask.any():
        raise ValueError("the mask is empty")
    marked = exemplar_mask if exemplar_mask is not None and exemplar_mask.any() else np.ones(exemplar.shape[:2], bool)
    return float(np.linalg.norm(_mean_colour(result, mask) - _mean_colour(exemplar, marked)))


def lab_of(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[n, 3] sRGB -> [n, 3] CIELAB."""
    from skimage.color import rgb2lab  # here, since it brings SciPy with it

    return np.asarray(rgb2lab(colours), np.float64)


def _mean_colour(picture: Pixels, mask: Hole) -> NDArray[np.float64]:
    if picture.shape[:2] != mask.shape:
        raise ValueError(f"picture {picture.shape} and mask {mask.shape} differ in size")
    mean: NDArray[np.float64] = lab_of(picture[mask]).mean(axis=0)
    return mean
