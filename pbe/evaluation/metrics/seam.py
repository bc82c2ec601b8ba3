"""Seam: a picture and the mask -> how much steeper it is across the mask's edge than elsewhere. Imports no torch."""

from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from pbe.evaluation.metrics.measured import Measured
from pipeline.arrays import Hole, Pixels

LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601
_NO_EDGE = "the mask covers the whole picture, or nothing"
_FLAT = "the picture has no gradients away from the mask's edge"


def seam_ratio(picture: Pixels, mask: Hole) -> Measured:
    """Divide the mean gradient across the mask's edge by that elsewhere.

    A gradient is the absolute difference in luma (Rec. 601, of sRGB's values) of two pixels that share a side. Pairs
    with one pixel in the hole and one outside lie across the edge; all other pairs, in the hole and outside, are
    elsewhere. An unedited photo has about 1, or more where the edge follows an object's outline; a visible seam has
    more than the source has at the same place. Blurring across the edge gives less than 1.

    Args:
        picture: [h, w, 3] uint8 sRGB.
        mask: [h, w] bool, True = repaint.

    Raises:
        ValueError: the sizes differ.
    """
    if picture.shape[:2] != mask.shape:
        raise ValueError(f"picture {picture.shape} and mask {mask.shape} differ in size")
    luma = picture @ LUMA
    steps = np.concatenate(list(starmap(_steps, ((luma[1:], luma[:-1]), (luma[:, 1:], luma[:, :-1])))))
    across = np.concatenate([(mask[1:] != mask[:-1]).ravel(), (mask[:, 1:] != mask[:, :-1]).ravel()])
    if not across.any():
        return Measured(None, _NO_EDGE)
    elsewhere = steps[~across]
    if not elsewhere.any():
        return Measured(None, _FLAT)
    return Measured(float(steps[across].mean() / elsewhere.mean()))


def _steps(ahead: NDArray[np.float64], behind: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(ahead - behind).ravel()
