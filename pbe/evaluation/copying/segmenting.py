"""Segmenting: an exemplar -> the mask of its object, by OpenCV's GrabCut. Imports no torch.

Not the paper's matting network: whoever uses it says `GrabCut`.
"""

import cv2
import numpy as np

from pipeline.arrays import Hole, Pixels

LONGEST = 256  # px: a larger exemplar is cut out at this size
INSET = 0.04  # of each side: what lies outside is background
CENTRE = 0.2  # of each side: an ellipse in the middle that is the object, so that never nothing is found
ROUNDS = 5
LEAST_PX = 16  # of the sides: a smaller exemplar is all object


def segment_exemplar(exemplar: Pixels) -> Hole:
    """Cut out the object that fills an exemplar (Rother et al., GrabCut, SIGGRAPH 2004).

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
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _first_labels(rows: int, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What GrabCut begins with: background along the sides, object in the middle, the rest perhaps object."""
    labels = np.full((rows, columns), cv2.GC_BGD, np.uint8)
    down, across = max(round(INSET * rows), 1), max(round(INSET * columns), 1)
    labels[down:-down, across:-across] = cv2.GC_PR_FGD
    axes = max(round(CENTRE * columns / 2), 1), max(round(CENTRE * rows / 2), 1)
    cv2.ellipse(labels, (columns // 2, rows // 2), axes, 0, 0, 360, cv2.GC_FGD, cv2.FILLED)
    return labels
