"""Quality: every number equals a plain count of pixels."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.quality import QUALITY, augmentation_strength, mean_mask, measure
from pipeline.draws.exemplars import Augmentation
from pipeline.draws.raster import mask_of
from pipeline.draws.rings import join_rings
from pipeline.rng import rng_for
from pipeline.shards.samples import Row
from schemas.samples import INDEX

SIZE = 40
STILL = Augmentation(flip=False, rotate_degrees=None, blur_px=None, affine_px=None)
BOXES = st.lists(st.integers(0, SIZE), min_size=4, max_size=4).map(
    lambda p: [min(p[0], p[2]), min(p[1], p[3]), max(p[0], p[2]) + 1, max(p[1], p[3]) + 1]
)


def _row(box_px: list[int], polygon: np.ndarray, **changes: object) -> Row:
    shares = [value / SIZE for value in box_px]
    row = {"box": shares, "box_in_crop": shares, "mask_polygon": polygon.ravel().tolist(), "fit": "crop"}
    return {**row, "augmentation": STILL, **changes}


def _measure(rows: list[Row]) -> list[Row]:
    schema = pa.schema([INDEX.field(name) for name in ("box", "box_in_crop", "mask_polygon", "fit", "augmentation")])
    return measure(pa.Table.from_pylist(rows, schema=schema), resolution=SIZE).to_pylist()


@given(BOXES, st.integers(0, 99), st.booleans())
def test_every_measure_equals_a_plain_count_of_pixels(box: list[int], seed: int, squash: bool) -> None:
    polygon = rng_for(seed, "test").uniform(-0.1, 1.1, (7, 2)).clip(0, 1).astype(np.float32)
    row = _row(box, polygon, fit="squash" if squash else "crop")
    [measured] = _measure([row])

    mask = mask_of(row, SIZE)
    left, top, right, bottom = box
    inside = np.zeros((SIZE, SIZE), bool)
    inside[top:bottom, left:right] = True  # which cuts it at the crop's edge
    hole = mask.astype(bool)
    assert measured["area"] == pytest.approx((right - left) * (bottom - top) / SIZE**2, abs=1e-6)
    assert measured["mask_share"] == pytest.approx(hole.mean(), abs=1e-6)
    assert measured["box_share"] == pytest.approx(inside.mean(), abs=1e-6)
    assert measured["around"] == pytest.approx((hole & ~inside).sum() / hole.sum(), abs=1e-6)
    assert measured["box_mask_ratio"] == pytest.approx(inside.mean() / hole.mean(), rel=1e-5)
    cover = (hole & inside).sum() / inside.sum() if inside.any() else None
    assert measured["cover"] == (None if cover is None else pytest.approx(cover, abs=1e-6))
    edges = np.ones((SIZE, SIZE), bool)
    edges[1:-1, 1:-1] = False
    assert measured["at_border"] == bool((hole & edges).any())
    assert measured["squashed"] == squash


def test_the_hole_of_a_traced_mask_is_not_counted() -> None:
    outer = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]], np.float32)
    inner = np.array([[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]], np.float32)
    ring, disc = _measure([_row([8, 8, 32, 32], join_rings([outer, inner])), _row([8, 8, 32, 32], outer)])
    assert disc["cover"] == 1 and 0.8 < ring["cover"] < 1
    assert ring["mask_share"] < disc["mask_share"] and not disc["at_border"]


def test_no_rows_measure_to_no_rows() -> None:
    empty = measure(INDEX.empty_table(), resolution=SIZE)
    assert len(empty) == 0 and empty.schema == QUALITY
    assert mean_mask(INDEX.empty_table(), cells=4).tolist() == np.zeros((4, 4)).tolist()


def test_a_stronger_augmentation_counts_more_and_a_flip_nothing() -> None:
    turned = Augmentation(flip=True, rotate_degrees=-20.0, blur_px=None, affine_px=None)
    more = Augmentation(flip=False, rotate_degrees=-20.0, blur_px=7, affine_px=[50.0, -50, 50, -50, 50, 50])
    strengths = [augmentation_strength(each) for each in (STILL, {**STILL, "flip": True}, turned, more)]
    assert strengths == pytest.approx([0, 0, 1, 3])


def test_the_mean_mask_is_the_mean_of_the_masks() -> None:
    rows = [_row([0, 0, 9, 9], rng_for(n, "test").uniform(0, 1, (5, 2)).astype(np.float32)) for n in range(5)]
    table = pa.table({"mask_polygon": pa.array([row["mask_polygon"] for row in rows], pa.list_(pa.float32()))})
    np.testing.assert_allclose(mean_mask(table, cells=16), np.mean([mask_of(row, 16) for row in rows], axis=0))
    np.testing.assert_allclose(mean_mask(table.slice(2), cells=16), np.mean([mask_of(r, 16) for r in rows[2:]], axis=0))
