"""Edit figure: one case's pictures -> a labelled figure, guidance scales across, seeds down."""

from collections.abc import Mapping

import cv2
import numpy as np

from pbe.editing.canvas import Mask
from pipeline.draws.crops import Crop
from pipeline.photos.decode import Pixels
from pipeline.pictures.tiles import draw_tiles

MASK_COLOR = (0, 229, 255)
_LINES = 120  # widths of the outline in the crop's side


def draw_pictures(
    source: Pixels, mask: Mask, crop: Crop, exemplar: Pixels, pictures: Mapping[tuple[float, int], Pixels], *, note: str
) -> Pixels:
    """Draw source with mask outline, exemplar, and every picture, each cut to the crop that the model saw.

    Args:
        source: [h, w, 3] uint8 RGB, as are the pictures, by (guidance scale, seed).
        note: written below: model, steps.

    Returns:
        The figure, [h, w, 3] uint8 RGB.
    """
    scales, seeds = sorted({scale for scale, _ in pictures}), sorted({seed for _, seed in pictures})
    given: list[Pixels | None] = [_cut(outline_mask(source, mask, crop), crop), exemplar]
    rows = [
        [*(given if line == 0 else [None, None]), *(_cut(pictures[scale, seed], crop) for scale in scales)]
        for line, seed in enumerate(seeds)
    ]
    labels = [["", "", *(f"seed {seed}" if len(seeds) > 1 else "" for _ in scales)] for seed in seeds]
    titles = ["source and mask", "exemplar", *(f"guidance {scale:g}" for scale in scales)]
    return draw_tiles(rows, titles=titles, labels=labels, note=note)


def outline_mask(source: Pixels, mask: Mask, crop: Crop) -> Pixels:
    """Draw a mask's outline into a copy of its source, as wide as the crop's size asks for."""
    shown = source.copy()
    left, top, right, bottom = crop.box
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, MASK_COLOR, max(1, min(right - left, bottom - top) // _LINES))
    return shown


def _cut(pixels: Pixels, crop: Crop) -> Pixels:
    left, top, right, bottom = crop.box
    return pixels[top:bottom, left:right]
