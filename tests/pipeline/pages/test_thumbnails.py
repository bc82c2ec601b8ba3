"""Thumbnails: small, equal where pictures are, and outlines that fill to their mask."""

import re

import numpy as np

from pipeline.draws.raster import fill
from pipeline.pages.thumbnails import FINER, mask_outline, webp_uri
from pipeline.rng import rng_for


def test_equal_pictures_give_equal_uris_and_small_ones_are_not_enlarged() -> None:
    pixels = rng_for(0, "test").integers(0, 255, (40, 64, 3), dtype=np.uint8)
    assert webp_uri(pixels, width=32, quality=60) == webp_uri(pixels.copy(), width=32, quality=60)
    assert webp_uri(pixels, width=64, quality=60) == webp_uri(pixels, width=640, quality=60)


def test_the_outline_of_a_mask_fills_to_the_mask() -> None:
    mask = np.zeros((60, 90), bool)
    mask[10:50, 20:80] = True
    mask[20:30, 30:50] = False
    path = mask_outline(mask, 90, 60)
    rings = [np.array(ring.split(), float).reshape(-1, 2) for ring in re.findall(r"M([\d. ]+)Z", path)]
    assert len(rings) == 2
    shown = fill([(ring + 0.5 / FINER) / 90 for ring in rings], 90)[:60]
    assert (shown != mask).mean() < 0.02
