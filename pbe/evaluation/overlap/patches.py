"""Patches: two windows whose hashes are near -> whether their details agree, too.

Hashes hold the coarse shapes alone, which many photos share. A look at the details of the small pictures costs a
hundredth of an alignment, and tells nearly all of these apart.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pbe.evaluation.overlap.windows import SMALL_PX, WINDOWS, turn

PATCH_PX = 48
SHIFT_PX = 5  # by which windows may lie off each other, each way
FINE_PX, COARSE_PX = 1.0, 3.0  # sigmas: what is between are the details
LEAST_CONTRAST = 0.5  # grey levels, the standard deviation of details that can be compared


def agreement(one: NDArray[np.uint8], window: int, other: NDArray[np.uint8], other_window: int, number: int) -> float:
    """Correlate the details of a window of one small picture and one of another, flipped and turned as TURNS says.

    Returns:
        -1..1, the best of some shifts; 1 where one has no details that could tell them apart.
    """
    details = _details(_cut(one, window))
    inner = _details(np.ascontiguousarray(turn(_cut(other, other_window), number)))[
        SHIFT_PX:-SHIFT_PX, SHIFT_PX:-SHIFT_PX
    ]
    if min(details.std(), inner.std()) < LEAST_CONTRAST:
        return 1.0
    return float(cv2.matchTemplate(details, np.ascontiguousarray(inner), cv2.TM_CCOEFF_NORMED).max())


def _cut(small: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    (left, right), (top, bottom) = WINDOWS[window]
    rows, columns = (
        slice(round(low * SMALL_PX), round(high * SMALL_PX)) for low, high in ((top, bottom), (left, right))
    )
    return np.asarray(cv2.resize(small[rows, columns], (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_AREA), np.uint8)


def _details(patch: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = patch.astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (FINE_PX, COARSE_PX))
    return np.asarray(fine - coarse, np.float32)
