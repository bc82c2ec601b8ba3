import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.decoding.decode import Photo
from pipeline.draws.draw import DrawRecipe, blank, choose_draw, draw_sample
from pipeline.draws.raster import raster_mask
from pipeline.errors import DrawError

RECIPE = DrawRecipe(seed=0, resolution=128, long_boxes="squash", min_box_px=8)


@settings(max_examples=60)
@given(st.integers(64, 900), st.integers(64, 900), st.integers(0, 10**6))
def test_the_mask_covers_the_box_in_the_crop(width: int, height: int, draw: int) -> None:
    x0, y0, dx, dy = np.random.default_rng(draw).uniform([0, 0, 0.15, 0.15], [0.8, 0.8, 0.9, 0.9])
    box = (x0, y0, min(1.0, x0 + dx), min(1.0, y0 + dy))
    chosen = choose_draw(box, width=width, height=height, recipe=RECIPE, image_id="a", box_id=1, draw=draw)
    left, top, right, bottom = chosen.crop.box
    corners = np.array(chosen.box_px).reshape(2, 2)
    (u0, v0), (u1, v1) = np.clip((corners - (left, top)) / (right - left, bottom - top), 0, 1) * 1024
    mask = raster_mask(chosen.mask_polygon, 1024)
    assert mask[int(np.ceil(v0)) : int(v1), int(np.ceil(u0)) : int(u1)].mean() >= 0.95
    assert chosen.mask_polygon.min() >= 0
    assert chosen.mask_polygon.max() <= 1


def test_half_of_the_masks_are_rectangles() -> None:
    shapes = [
        choose_draw(
            (0.2, 0.2, 0.6, 0.7), width=640, height=480, recipe=RECIPE, image_id="a", box_id=0, draw=d
        ).mask_shape
        for d in range(1000)
    ]
    assert shapes.count("rectangle") == pytest.approx(500, abs=50)


def test_a_draw_depends_on_its_own_key_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    photo = Photo(pixels, "none", 1)

    def draw(number: int) -> tuple[bytes, bytes, bytes, bytes]:
        sample = draw_sample(photo, (0.2, 0.2, 0.7, 0.8), recipe=RECIPE, image_id="a", box_id=4, draw=number)
        return sample.source.tobytes(), sample.mask.tobytes(), sample.exemplar_jpeg, sample.exemplar.tobytes()

    alone = draw(3)
    in_turn = [draw(number) for number in range(5)]
    assert alone == in_turn[3]
    assert len(set(in_turn)) == 5


def test_a_box_too_small_is_a_drop_with_its_size() -> None:
    with pytest.raises(DrawError, match=r"box_too_small: 5\.0 px"):
        choose_draw((0.1, 0.1, 0.6, 0.15), width=100, height=100, recipe=RECIPE, image_id="a", box_id=0, draw=0)


def test_the_masked_source_is_grey_in_the_hole_and_the_source_elsewhere() -> None:
    source = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[4:9, 10:20] = 1
    masked = blank(source, mask)
    assert (masked[mask == 1] == 128).all()
    assert (masked[mask == 0] == source[mask == 0]).all()
