import bezier
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pipeline.draws.crops import extend_box, outer_px
from pipeline.draws.masks import JITTER_PX, cover, curve_basis, draw_bezier_mask, rectangle
from pipeline.draws.raster import latent_mask, raster_mask, reduce_mask
from pipeline.rng import rng_for

sides = st.floats(0, 1)
photo_px = st.integers(32, 2000)


def cover_by_pillow(polygon: np.ndarray, box: tuple[float, ...], cells: int = 600) -> float:
    """Measure the cover by another library, on a finer grid; its outline is not counted in."""
    unit = (polygon - np.array(box[:2])) / (np.array(box[2:]) - np.array(box[:2])) * cells
    image = Image.new("L", (cells, cells))
    ImageDraw.Draw(image).polygon([tuple(point) for point in unit.tolist()], fill=1)
    return float(np.asarray(image).mean())


@settings(max_examples=300)
@given(photo_px, photo_px, sides, sides, sides, sides, st.integers(0, 2**32))
@example(876, 103, 1.0, 0.93359375, 1.0, 0.921875, 1159)  # 58 x 8 px: jitter of half its height
def test_the_polygon_covers_95_percent_of_any_box(
    width: int, height: int, x0: float, x1: float, y0: float, y1: float, seed: int
) -> None:
    box = (min(x0, x1) * width, min(y0, y1) * height, max(x0, x1) * width, max(y0, y1) * height)
    assume(box[2] - box[0] >= 8 and box[3] - box[1] >= 8)
    rng = rng_for(seed, "test")
    extended = extend_box(outer_px(box, width, height), width, height, rng)
    polygon = draw_bezier_mask(box, extended, max(width, height), rng, bounds=(0, 0, width, height))
    assert polygon.shape == (80, 2)
    inside_photo = np.clip(polygon, 0, (width, height))
    assert cover(inside_photo, box) >= 0.95
    assert cover_by_pillow(inside_photo, box) >= 0.95


def test_the_cached_basis_is_the_bezier_library() -> None:
    controls = np.random.default_rng(0).random((3, 2))
    curve = bezier.Curve(np.asfortranarray(controls.T), degree=2)
    assert np.abs(curve_basis() @ controls - curve.evaluate_multi(np.arange(20) / 20).T).max() < 1e-15


def test_without_room_around_it_the_polygon_stays_within_the_jitter_of_the_box() -> None:
    box = (0.0, 0.0, 400.0, 300.0)
    polygon = draw_bezier_mask(box, box, 1024, rng_for(1, "test"), bounds=(-9, -9, 409, 309))
    beyond = np.maximum(np.maximum(-polygon, polygon - [400, 300]), 0)
    assert beyond.max() <= JITTER_PX


def test_the_jitter_scales_with_the_photo() -> None:
    large = draw_bezier_mask(
        (100.0, 100.0, 900.0, 600.0), (50, 50, 1000, 700), 1024, rng_for(1, "test"), bounds=(0, 0, 1024, 768)
    )
    small = draw_bezier_mask(
        (25.0, 25.0, 225.0, 150.0), (12.5, 12.5, 250, 175), 256, rng_for(1, "test"), bounds=(0, 0, 256, 192)
    )
    assert small * 4 == pytest.approx(large)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.integers(1, 60))
def test_a_rectangle_rasters_to_its_pixels_and_at_most_one_more_row_and_column(x: int, y: int, w: int, h: int) -> None:
    corners = (x, y, min(64, x + w), min(64, y + h))
    assume(corners[2] > x and corners[3] > y)
    mask = raster_mask((rectangle(corners) / 64).astype(np.float32), 64)
    assert mask[y : corners[3], x : corners[2]].all()
    assert mask.sum() <= (corners[2] - x + 1) * (corners[3] - y + 1)


def test_the_raster_is_the_polygon_at_any_resolution() -> None:
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    circle = (0.5 + 0.3 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    for resolution in (64, 256, 512):
        share = raster_mask(circle, resolution).mean()
        assert share == pytest.approx(np.pi * 0.09, abs=1.2 / resolution)


def test_the_latent_mask_is_the_mean_of_each_blocks_central_pixels() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (2, 1, 64, 64)).astype(np.float32))
    blocks = mask.view(2, 1, 8, 8, 8, 8)  # b, 1, row, y, column, x
    assert torch.equal(latent_mask(mask, (8, 8)), blocks[:, :, :, 3:5, :, 3:5].mean(dim=(3, 5)))


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8, 16])
def test_reducing_one_raster_gives_the_numbers_of_the_latent_mask(factor: int) -> None:
    raster = np.random.default_rng(0).integers(0, 2, (48, 48), dtype=np.uint8)
    expected = latent_mask(torch.from_numpy(raster)[None, None].float(), (48 // factor, 48 // factor))
    assert np.array_equal(reduce_mask(raster, factor), expected[0, 0].numpy())
