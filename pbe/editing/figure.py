"""Figure: one case's pictures -> a labelled figure, guidance scales across, seeds down."""

from collections.abc import Mapping

import cv2
import numpy as np

from pipeline.arrays import Hole, Pixels
from pipeline.draws.crops import Crop
from pipeline.pictures.outlines import outline_mask
from pipeline.pictures.tiles import draw_tiles


def draw_pictures(
    source: Pixels, mask: Hole, crop: Crop, exemplar: Pixels, pictures: Mapping[tuple[float, int], Pixels], *, note: str
) -> Pixels:
    """Draw source with mask outline, exemplar, and every picture, each cut to the crop that the model saw.

    Args:
        source: [h, w, 3] uint8 RGB, as are the pictures, by (guidance scale, seed).
        note: written below: model, steps.

    Returns:
        The figure, [h, w, 3] uint8 RGB.
    """
    scales, seeds = sorted({scale for scale, _ in pictures}), sorted({seed for _, seed in pictures})
    given: list[Pixels | None] = [cut_to(outline_mask(source, mask, crop), crop), exemplar]
    rows = [
        [*(given if line == 0 else [None, None]), *(cut_to(pictures[scale, seed], crop) for scale in scales)]
        for line, seed in enumerate(seeds)
    ]
    labels = [["", "", *(f"seed {seed}" if len(seeds) > 1 else "" for _ in scales)] for seed in seeds]
    titles = ["source and mask", "exemplar", *(f"guidance {scale:g}" for scale in scales)]
    return draw_tiles(rows, titles=titles, labels=labels, note=note)


def cut_to(pixels: Pixels, crop: Crop) -> Pixels:
    """Cut the part of a source that the model sees out of the source, or of a picture of its size."""
    left, top, right, bottom = crop.box
    return pixels[top:bottom, left:right]


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Shrink a picture whose longest side is longer, in px."""
    height, width = pixels.shape[:2]
    scale = min(1, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)) if scale < 1 else pixels
