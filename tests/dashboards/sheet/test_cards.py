"""Cards: outlines that show the mask, boxes cut to the crop, pictures that are small enough."""

import re

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboards.sheet.cards import (
    GRID,
    _box,
    outline,
)
from pipeline.draws.raster import fill, raster_mask
from pipeline.draws.rings import join_rings
from pipeline.rng import rng_for
from tests.synthetic import draw_row

SIDE = 100
MIB = 2**20


def _rings(path: str) -> list[np.ndarray]:
    """Read an outline's rings back, in shares of the crop."""
    assert re.fullmatch(r"(M\d+( \d+)+Z)+", path)
    return [np.array(ring.split(), float).reshape(-1, 2) / GRID for ring in re.findall(r"M([\d ]+)Z", path)]


@given(st.integers(0, 999))
def test_the_outline_of_a_drawn_mask_fills_to_the_mask(seed: int) -> None:
    polygon = draw_row(rng_for(seed, "test"), "photo", unit=0, draw=0, split="train")["mask_polygon"]
    shown, mask = fill(_rings(outline(polygon)), SIDE), raster_mask(np.array(polygon).reshape(-1, 2), SIDE)
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).astype(bool)
    assert (shown == mask)[~edge].all()


def test_the_pieces_and_holes_of_a_traced_mask_are_rings_of_the_outline() -> None:
    square = np.array([[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.5]], np.float32)
    hole = (square - 0.3) / 2 + 0.3
    path = outline(join_rings([square, hole, square + 0.45]).ravel().tolist())
    assert len(_rings(path)) == 3
    shown = fill(_rings(path), SIDE)
    assert (shown[30, 30], shown[15, 15], shown[75, 75], shown[52, 52]) == (0, 1, 1, 0)


def test_a_box_is_cut_to_the_crop() -> None:
    assert _box([-0.5, 0.25, 0.5, 1.75]) == (0, 250, 500, 750)
    assert _box([0, 0, 1, 1]) == (0, 0, GRID, GRID)
