"""Segmenting: an exemplar -> the mask of its object, by OpenCV's GrabCut. Imports no torch.

Not the paper's matting network: whoever uses it says `GrabCut`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Hole, Pixels

Plane = NDArray[np.uint8]

LONGEST = 256  # px: a larger exemplar is cut out at this size
INSET = 0.04  # of each side: what lies outside is background
CENTRE = 0.2  # of each side: an ellipse in the middle that is the object, so that never nothing is found
ROUNDS = 3
LEAST_AREA = 0.15  # of the exemplar: less is a failure, since an object fills its exemplar
ELLIPSE = 0.8  # of each side: what is taken then
LEAST_PX = 16  # of the sides: a smaller exemplar is all object


def segment_exemplar(exemplar: Pixels) -> Hole:
    """Cut out the object that fills an exemplar (Rother et al., GrabCut, SIGGRAPH 2004).

    Where GrabCut finds next to nothing, as for an object of many colours, an ellipse in the middle is taken.

    Args:
        exemplar: [h, w, 3] uint8 sRGB, the object in its middle.

    Returns:
        [h, w] bool, True = the object; never empty, the same at each call.
    """
    height, width = exemplar.shape[:2]
    if min(height, width) < LEAST_PX:
        return np.ones((height, width), np.bool_)
    scale = min(1, LONGEST / max(height, width))
    columns, rows = max(round(scale * width), LEAST_PX), max(round(scale * height), LEAST_PX)
    small = cv2.resize(exemplar, (columns, rows), interpolation=cv2.INTER_AREA)
    labels = _first_labels(rows, columns)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(small[..., ::-1])
    cv2.grabCut(bgr, labels, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    if found.mean() < LEAST_AREA:
        found = _ellipse(np.zeros_like(found), ELLIPSE, 1)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _first_labels(rows: int, columns: int) -> Plane:
    """What GrabCut begins with: background along the sides, object in the middle, the rest perhaps object."""
    labels = np.full((rows, columns), cv2.GC_BGD, np.uint8)
    down, across = max(round(INSET * rows), 1), max(round(INSET * columns), 1)
    labels[down:-down, across:-across] = cv2.GC_PR_FGD
    return _ellipse(labels, CENTRE, cv2.GC_FGD)


def _ellipse(plane: Plane, share: float, value: int) -> Plane:
    """Draw an ellipse in the middle that takes a share of each side."""
    rows, columns = plane.shape
    axes = max(round(share * columns / 2), 1), max(round(share * rows / 2), 1)
    cv2.ellipse(plane, (columns // 2, rows // 2), axes, 0, 0, 360, value, cv2.FILLED)
    return plane
