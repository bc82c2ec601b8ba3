from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.decoding.decode import Photo
from pipeline.draws.crops import Crop, zoom_in
from pipeline.draws.draw import DrawnSample, DrawRecipe, draw_sample
from pipeline.draws.jitter import (
    BRIGHTNESS,
    LEAST_SCALE,
    SATURATION,
    Jitter,
    draw_jitter,
    jitter_pixels,
    mirror_box,
    mirror_points,
    shift_colours,
)
from pipeline.draws.masks import draw_bezier_mask
from pipeline.draws.raster import raster_mask
from pipeline.rng import rng_for

SIDE = 96
FLIPPED = Jitter(flip=True, hue_degrees=0.0, saturation=1.0, brightness=1.0, scale=1.0)
seeds = st.integers(0, 10**6)
few = settings(max_examples=25)


def picture(seed: int) -> np.ndarray:
    """Smooth and noisy, dark and light, grey and colourful parts."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (40, 40), interpolation=cv2.INTER_CUBIC)


def jittered(seed: int, share: float = 1.0) -> Jitter | None:
    return draw_jitter(share, seed=0, image_id=f"photo{seed}", draw=seed % 3)


@few
@given(seeds, st.floats(-180, 180), st.floats(1 / SATURATION, SATURATION), st.floats(1 / BRIGHTNESS, BRIGHTNESS))
def test_a_shift_and_its_inverse_bring_a_picture_back(
    seed: int, hue: float, saturation: float, brightness: float
) -> None:
    pixels = picture(seed)
    there = shift_colours(pixels, hue_degrees=hue, saturation=saturation, brightness=brightness)
    back = shift_colours(there, hue_degrees=-hue, saturation=1 / saturation, brightness=1 / brightness)
    assert np.abs(back.astype(int) - pixels).max() <= 3  # of 255: two roundings


@few
@given(seeds, st.floats(-180, 180))
def test_a_turn_of_the_hue_keeps_the_lightest_and_the_darkest_channel_of_each_pixel(seed: int, hue: float) -> None:
    pixels = picture(seed)
    turned = shift_colours(pixels, hue_degrees=hue, saturation=1.0, brightness=1.0)
    assert np.abs(turned.max(axis=2).astype(int) - pixels.max(axis=2)).max() <= 1
    assert np.abs(turned.min(axis=2).astype(int) - pixels.min(axis=2)).max() <= 1


@few
@given(seeds)
def test_a_jitter_clips_nothing_and_leaves_no_bands_in_a_ramp(seed: int) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    shown = jitter_pixels(ramp, {**(jittered(seed) or FLIPPED), "flip": False})[0, :, 0].astype(int)
    assert (shown[0], shown[255]) == (0, 255)
    assert np.diff(shown).min() >= 0
    assert np.diff(shown).max() <= 2
    assert np.count_nonzero(shown == 255) <= 2


@few
@given(seeds)
def test_a_flip_twice_is_none(seed: int) -> None:
    pixels, points = picture(seed), np.random.default_rng(seed).random((9, 2))
    assert np.array_equal(jitter_pixels(jitter_pixels(pixels, FLIPPED), FLIPPED), pixels)
    assert np.allclose(mirror_points(mirror_points(points, FLIPPED), FLIPPED), points, atol=1e-15)
    box = (0.1, 0.2, 0.4, 0.9)
    assert mirror_box(mirror_box(box, FLIPPED), FLIPPED) == pytest.approx(box)


@few
@given(seeds)
def test_the_mask_of_a_flipped_polygon_is_the_flipped_mask_but_for_its_outline(seed: int) -> None:
    rng = rng_for(seed, "test")
    x0, y0 = rng.uniform(0.1, 0.4, 2)
    box = (x0, y0, x0 + rng.uniform(0.1, 0.4), y0 + rng.uniform(0.1, 0.4))
    extended = (box[0] - 0.05, box[1] - 0.05, box[2] + 0.1, box[3] + 0.1)
    polygon = draw_bezier_mask(box, extended, 1, rng, bounds=(0, 0, 1, 1))
    mask, mirrored = (
        raster_mask(points.astype(np.float32), SIDE) for points in (polygon, mirror_points(polygon, FLIPPED))
    )
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).astype(bool)
    assert (mirrored[:, ::-1] == mask)[~edge].all()


@pytest.fixture(scope="module")
def draw() -> Callable[..., DrawnSample]:
    """Draw a photo that is white in its box and dark elsewhere: neither changes its hue, and white stays white."""

    def draw_white_box(seed: int, share: float = 1.0) -> DrawnSample:
        width, height = np.random.default_rng(seed).integers(150, 400, 2).tolist()
        pixels = np.full((height, width, 3), 30, np.uint8)
        box = (0.25, 0.3, 0.55, 0.8)
        left, top, right, bottom = (np.array(box) * [width, height, width, height]).round().astype(int)
        pixels[top:bottom, left:right] = 255
        recipe = DrawRecipe(0, SIDE, "squash", 8, colour_jitter=share)
        return draw_sample(Photo(pixels, "none", 1), box, recipe=recipe, image_id="a", box_id=0, draw=seed)

    return draw_white_box


@few
@given(seed=st.integers(0, 1000))
def test_source_mask_and_box_of_a_jittered_sample_show_the_object_at_one_place(
    draw: Callable[..., DrawnSample], seed: int
) -> None:
    sample = draw(seed)
    white = sample.source.min(axis=2) == 255
    assert sample.mask[white].mean() > 0.95
    left, top, right, bottom = sample.draw.crop.box
    x0, y0, x1, y1 = sample.draw.box_px
    shares = ((x0 - left) / (right - left), (y0 - top) / (bottom - top))
    shares += ((x1 - left) / (right - left), (y1 - top) / (bottom - top))
    expected = np.array(mirror_box(shares, sample.draw.jitter)) * SIDE
    rows, columns = np.nonzero(sample.source.min(axis=2) > 140)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert found == pytest.approx(np.clip(expected, 0, SIDE), abs=2)


def test_a_jitter_changes_no_other_choice_and_its_crop_lies_in_the_one_drawn(draw: Callable[..., DrawnSample]) -> None:
    for seed in range(12):
        plain, sample = draw(seed, 0.0), draw(seed)
        assert plain.draw.jitter is None
        assert plain.draw.extended_px == sample.draw.extended_px
        assert plain.draw.exemplar_px == sample.draw.exemplar_px
        assert plain.draw.mask_shape == sample.draw.mask_shape
        assert plain.augmentation == sample.augmentation
        inner, outer = np.array(sample.draw.crop.box), np.array(plain.draw.crop.box)
        assert (inner[:2] >= outer[:2]).all()
        assert (inner[2:] <= outer[2:]).all()


@few
@given(seeds, st.floats(0, 1))
def test_a_zoomed_crop_holds_the_extended_box_and_keeps_its_shape(seed: int, scale: float) -> None:
    rng = rng_for(seed, "test")
    left, top, width, height = rng.integers(1, 300, 4).tolist()
    height = height if seed % 2 else width
    x0, y0 = left + int(rng.integers(width)), top + int(rng.integers(height))
    extended = (x0, y0, x0 + 1 + int(rng.integers(left + width - x0)), y0 + 1 + int(rng.integers(top + height - y0)))
    crop = Crop((left, top, left + width, top + height), "crop")
    zoomed = zoom_in(crop, extended, scale, rng).box
    assert left <= zoomed[0] <= extended[0]
    assert top <= zoomed[1] <= extended[1]
    assert extended[2] <= zoomed[2] <= left + width
    assert extended[3] <= zoomed[3] <= top + height
    assert (zoomed[2] - zoomed[0]) / width == pytest.approx(
        (zoomed[3] - zoomed[1]) / height, abs=1 / min(width, height)
    )
    assert zoom_in(crop, extended, 1.0, rng) == crop


def test_the_share_of_jittered_draws_and_all_their_numbers_are_as_promised() -> None:
    drawn = [jittered(seed, 0.3) for seed in range(3000)]
    found = [jitter for jitter in drawn if jitter]
    assert len(found) / len(drawn) == pytest.approx(0.3, abs=0.03)
    assert np.mean([jitter["flip"] for jitter in found]) == pytest.approx(0.5, abs=0.06)
    ranges = {"hue_degrees": (-180, 180), "saturation": (1 / SATURATION, SATURATION)}
    ranges |= {"brightness": (1 / BRIGHTNESS, BRIGHTNESS), "scale": (LEAST_SCALE, 1)}
    for name, (low, high) in ranges.items():
        values = np.array([dict(jitter)[name] for jitter in found])
        assert low - 1e-6 <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-6
        assert (values == values.astype(np.float32)).all()


@few
@given(seeds)
def test_a_higher_share_jitters_the_same_draws_alike_and_more(seed: int) -> None:
    few, more = jittered(seed, 0.4), jittered(seed, 0.8)
    assert few is None or few == more
    assert jittered(seed, 0.0) is None
    assert jittered(seed, 1.0) is not None
