"""Seam: what it says of photos, pastes and pictures without an edge."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from pbe.evaluation.metrics.seam import LUMA, seam_ratio
from pipeline.arrays import Hole, Pixels


def hole(picture: Pixels, seed: int) -> Hole:
    """A rectangle of a third of each side, away from the border."""
    height, width = picture.shape[:2]
    rng = np.random.default_rng(seed)
    top, left = rng.integers(height // 8, height // 2), rng.integers(width // 8, width // 2)
    mask = np.zeros((height, width), bool)
    mask[top : top + height // 3, left : left + width // 3] = True
    return mask


def ratio(picture: Pixels, mask: Hole) -> float:
    found = seam_ratio(picture, mask)
    assert found.value is not None and not found.reason
    return found.value


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(2, 9))
def test_the_ratio_is_that_of_the_pairs_counted_one_by_one(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    mask = rng.integers(0, 2, (height, width)).astype(bool)
    mask[0, :2] = False, True
    steps: dict[bool, list[float]] = {True: [], False: []}
    for y in range(height):
        for x in range(width):
            for other in [(y + 1, x)] * (y + 1 < height) + [(y, x + 1)] * (x + 1 < width):
                step = abs(float(picture[y, x] @ LUMA) - float(picture[other] @ LUMA))
                steps[bool(mask[y, x] != mask[other])].append(step)
    if steps[False] and max(steps[False]):
        assert ratio(picture, mask) == pytest.approx(np.mean(steps[True]) / np.mean(steps[False]))


@pytest.mark.parametrize("photo", [astronaut, chelsea, coffee])
def test_a_photo_has_about_one_and_a_pasted_constant_several_times_as_much(photo: type) -> None:
    picture = photo()
    natural = [ratio(picture, hole(picture, seed)) for seed in range(5)]
    pasted = []
    for seed in range(5):
        mask = hole(picture, seed)
        pasted.append(ratio(np.where(mask[..., None], np.uint8(0), picture), mask))
    assert 0.4 < np.median(natural) < 2.5
    assert min(np.divide(pasted, natural)) > 2


def test_a_brighter_hole_has_a_seam_that_grows_with_the_step() -> None:
    picture = chelsea()
    mask = hole(picture, 0)
    steps = [
        ratio(np.where(mask[..., None], np.clip(picture + np.int16(k), 0, 255).astype(np.uint8), picture), mask)
        for k in (0, 8, 24, 72)
    ]
    assert steps == sorted(steps) and steps[-1] > 3 * steps[0]


def test_a_picture_is_its_own_mirror_image() -> None:
    picture = coffee()
    mask = hole(picture, 3)
    assert ratio(picture[:, ::-1], mask[:, ::-1]) == pytest.approx(ratio(picture, mask))
    assert ratio(picture, ~mask) == pytest.approx(ratio(picture, mask))


@pytest.mark.parametrize("covered", [True, False])
def test_a_mask_without_an_edge_has_no_seam(covered: bool) -> None:
    found = seam_ratio(coffee(), np.full(coffee().shape[:2], covered))
    assert found.value is None and "covers" in found.reason


def test_a_flat_picture_has_no_ratio_and_says_so() -> None:
    mask = np.eye(8, dtype=bool)
    found = seam_ratio(np.full((8, 8, 3), 90, np.uint8), mask)
    assert found.value is None and "gradients" in found.reason


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        seam_ratio(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9), bool))


def test_real_photos_have_about_one_and_pasted_ones_ten(real_data: Path) -> None:
    natural, pasted, other = [], [], np.zeros((1, 1, 3), np.uint8)
    for seed, path in enumerate(sorted(real_data.glob("openimages_v6_train100/train/*.jpg"))[:12]):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((256, 256))
        picture = np.asarray(photo)
        mask = hole(picture, seed)
        natural.append(ratio(picture, mask))
        another = np.asarray(Image.fromarray(other).resize(photo.size))
        pasted.append(ratio(np.where(mask[..., None], another, picture), mask))
        other = picture
    assert 0.7 < np.median(natural) < 1.5
    assert np.median(pasted) > 4
