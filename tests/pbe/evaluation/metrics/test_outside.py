"""Outside: what it says of results that kept everything, something or nothing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2lab
from skimage.data import astronaut
from skimage.metrics import structural_similarity

from pbe.evaluation.metrics.outside import compare_outside
from pipeline.arrays import Hole, Pixels

Three = tuple[Pixels, Pixels, Hole]


@st.composite
def pictures(draw: st.DrawFn) -> Three:
    """Source, a result that is near to it, and a rectangle."""
    height, width = draw(st.integers(7, 40)), draw(st.integers(7, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    source = rng.integers(0, 256, (height, width, 3), np.uint8)
    result = np.clip(source.astype(int) + rng.integers(-9, 10, source.shape), 0, 255).astype(np.uint8)
    mask = np.zeros((height, width), bool)
    mask[: draw(st.integers(1, height)), : draw(st.integers(1, width - 1))] = True
    return source, result, mask


@settings(max_examples=30)
@given(pictures(), st.integers(0, 2**32))
def test_what_was_painted_in_the_hole_changes_nothing(three: Three, seed: int) -> None:
    source, result, mask = three
    other = np.where(mask[..., None], np.random.default_rng(seed).integers(0, 256, result.shape, np.uint8), result)
    assert compare_outside(source, result, mask) == compare_outside(source, other, mask)


@settings(max_examples=30)
@given(pictures())
def test_a_picture_that_only_changed_in_the_hole_is_exact(three: Three) -> None:
    source, result, mask = three
    found = compare_outside(source, np.where(mask[..., None], result, source), mask)
    assert (found.exact, found.psnr_db, found.ssim, found.colour, found.reason) == (True, None, 1, 0, "")


@settings(max_examples=30)
@given(pictures())
def test_the_numbers_are_those_of_the_plain_formulas(three: Three) -> None:
    source, result, mask = three
    found = compare_outside(source, result, mask)
    error = np.mean((source.astype(float) - result)[~mask] ** 2)
    filled = np.where(mask[..., None], source, result)
    each = structural_similarity(source, filled, channel_axis=2, data_range=255, full=True)[1]
    colour = np.linalg.norm(rgb2lab(source) - rgb2lab(result), axis=2)[~mask].mean()
    assert found.exact is False
    assert found.psnr_db == pytest.approx(10 * np.log10(255**2 / error))
    assert found.ssim == pytest.approx(each[~mask].mean())
    assert found.colour == pytest.approx(colour)


def test_one_changed_pixel_is_not_exact() -> None:
    source = np.zeros((20, 20, 3), np.uint8)
    result = source.copy()
    result[19, 19, 2] = 1
    found = compare_outside(source, result, np.eye(20, k=1, dtype=bool))
    assert found.exact is False
    assert found.psnr_db == pytest.approx(10 * np.log10(255**2 * 3 * 381))


def test_a_mask_that_covers_all_leaves_nothing_to_compare() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    found = compare_outside(picture, picture + 1, np.ones((20, 20), bool))
    assert (found.exact, found.psnr_db, found.ssim, found.colour) == (None,) * 4
    assert found.reason


def test_a_picture_below_the_window_has_no_ssim_and_says_so() -> None:
    picture = np.zeros((6, 300, 3), np.uint8)
    found = compare_outside(picture, picture + 1, np.eye(6, 300, dtype=bool))
    assert found.ssim is None and "7 px" in found.reason
    assert found.psnr_db == pytest.approx(10 * np.log10(255**2))


def test_pictures_of_unequal_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        compare_outside(np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8, 3), np.uint8), np.zeros((8, 9), bool))


def test_more_noise_outside_is_worse_by_every_number() -> None:
    source = astronaut()[:200, :200]
    mask = np.zeros((200, 200), bool)
    mask[50:120, 60:150] = True
    noise = np.random.default_rng(0).normal(size=source.shape)
    found = [compare_outside(source, np.clip(source + k * noise, 0, 255).astype(np.uint8), mask) for k in (2, 6, 20)]
    for name, better in (("psnr_db", 1), ("ssim", 1), ("colour", -1)):
        values = [better * getattr(each, name) for each in found]
        assert values == sorted(values, reverse=True), name


def test_a_saved_jpeg_of_a_real_photo_has_the_numbers_that_jpegs_have(real_data: Path, tmp_path: Path) -> None:
    photo = Image.open(next(iter(sorted(real_data.glob("openimages_v6_train100/train/*.jpg"))))).convert("RGB")
    photo.thumbnail((256, 256))
    photo.save(tmp_path / "75.jpg", quality=75)
    source, result = np.asarray(photo), np.asarray(Image.open(tmp_path / "75.jpg"))
    found = compare_outside(source, result, np.eye(*source.shape[:2], dtype=bool))
    assert found.psnr_db and 25 < found.psnr_db < 45
    assert found.ssim and 0.85 < found.ssim < 1
    assert found.colour and 0.5 < found.colour < 8
