"""Outlines: boxes and masks drawn onto pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Hole, Pixels
from pipeline.draws.crops import Crop
from pipeline.draws.rings import split_rings
from pipeline.shards.samples import Row

TILE_PX = 256
BOX_COLOR = (255, 196, 0)
MASK_COLOR = (0, 229, 255)
LINES = 120  # widths of the outline in the crop's side


def outline_sample(source: Pixels, row: Row, polygon: NDArray[np.float32]) -> Pixels:
    """Draw a sample's box and mask polygon into a copy of its source, TILE_PX a side."""
    shown = source.copy()
    corners = np.rint(np.array(row["box_in_crop"]) * TILE_PX).astype(int).tolist()
    cv2.rectangle(shown, corners[:2], corners[2:], BOX_COLOR, 2)
    rings = [np.rint(ring * TILE_PX).astype(np.int32) for ring in split_rings(polygon)]
    cv2.polylines(shown, rings, True, MASK_COLOR, 2, cv2.LINE_AA)
    return shown


def outline_mask(source: Pixels, mask: Hole, crop: Crop) -> Pixels:
    """Draw a mask's outline into a copy of its source, as wide as the crop's size asks for."""
    shown = source.copy()
    left, top, right, bottom = crop.box
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, MASK_COLOR, max(1, min(right - left, bottom - top) // LINES))
    return shown
