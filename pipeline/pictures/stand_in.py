"""Stand-in: what can be seen of a source that is not stored: the exemplar at its place, on grey."""

import cv2
import numpy as np

from pipeline.arrays import Pixels
from pipeline.draws.jitter import jitter_of, mirror_box
from pipeline.pictures.outlines import TILE_PX
from pipeline.shards.samples import Row
from schemas.samples import EXEMPLAR_PX

BACKGROUND = 200


def place_exemplar(exemplar: Pixels, row: Row, size: int = TILE_PX) -> Pixels:
    """Put the stored exemplar where it lies in the crop, if it does, on grey.

    Args:
        exemplar: [224, 224, 3] uint8, as stored.
        row: of the index.

    Returns:
        [size, size, 3] uint8.
    """
    canvas = np.full((size, size, 3), BACKGROUND, np.uint8)
    if not any(row["exemplar_box"]):
        return canvas
    crop, place = np.array(row["crop"]), np.array(row["exemplar_box"], np.float64)
    left, top, right, bottom = ((place - crop[[0, 1, 0, 1]]) / (crop[2:] - crop[:2])[[0, 1, 0, 1]]).tolist()
    share = np.array(mirror_box((left, top, right, bottom), jitter_of(row))) * size
    matrix = np.array(
        [[(share[2] - share[0]) / EXEMPLAR_PX, 0, share[0]], [0, (share[3] - share[1]) / EXEMPLAR_PX, share[1]]]
    )
    cv2.warpAffine(exemplar, matrix, (size, size), dst=canvas, borderMode=cv2.BORDER_TRANSPARENT)
    return canvas
