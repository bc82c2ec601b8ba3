"""Regions: which pixels of a result are compared, and how they are resized."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import coffee

from pbe.evaluation.metrics.regions import fixed_view, official_view, rectangle_of

sides = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30))


@settings(max_examples=40)
@given(sides)
def test_the_rectangle_is_the_smallest_around_all_pieces_of_the_hole(box: tuple[int, int, int, int]) -> None:
    left, top, width, height = box
    mask = np.zeros((64, 64), bool)
    mask[top, left] = mask[top + height - 1, left + width - 1] = True
    assert rectangle_of(mask) == (left, top, left + width, top + height)
    mask[top : top + height, left : left + width] = True
    assert rectangle_of(mask) == (left, top, left + width, top + height)


def test_an_empty_mask_has_no_rectangle() -> None:
    with pytest.raises(ValueError, match="empty"):
        rectangle_of(np.zeros((4, 4), bool))


@settings(max_examples=20)
@given(sides, st.integers(0, 2**32))
def test_the_official_crop_is_the_published_codes(box: tuple[int, int, int, int], seed: int) -> None:
    left, top, width, height = box
    result = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[top : top + height, left : left + width] = True
    view = official_view(result, mask)
    if min(width, height) == 1:
        assert view is None
        return
    # The first and last pixel of the mask, the last one exclusive; then torchvision's resize of tensors of that time.
    first, last = (np.unravel_index(place, mask.shape) for place in np.flatnonzero(mask)[[0, -1]])
    tensor = torch.from_numpy(result.copy()).permute(2, 0, 1).float() / 255
    crop = tensor[None, :, first[0] : last[0], first[1] : last[1]]
    theirs = torch.nn.functional.interpolate(crop, (224, 224), mode="bilinear", align_corners=False, antialias=False)
    assert view is not None and view.dtype == np.float32
    assert np.abs(view - theirs[0].permute(1, 2, 0).numpy()).max() < 1e-5


def test_the_fixed_view_reaches_to_the_last_row_and_column_of_the_hole() -> None:
    result = np.zeros((300, 300, 3), np.uint8)
    mask = np.zeros((300, 300), bool)
    mask[10:234, 20:244] = True
    result[233], result[:, 243] = 255, 255
    view = fixed_view(result, mask, 224)
    assert view.dtype == np.uint8
    assert np.array_equal(view, result[10:234, 20:244])
    official = official_view(result, mask)
    assert official is not None and not official.any()


def test_the_fixed_view_averages_what_the_official_one_skips() -> None:
    stripes = np.zeros((896, 896, 3), np.uint8)
    stripes[:, ::4] = 255
    mask = np.ones((896, 896), bool)
    fixed, official = fixed_view(stripes, mask, 224), official_view(stripes, mask)
    assert official is not None
    assert fixed[:, 4:-4].std() / 255 < 0.1 < official.std()


def test_a_mask_of_another_size_is_refused() -> None:
    for view in (official_view, lambda result, mask: fixed_view(result, mask, 8)):
        with pytest.raises(ValueError, match="differ in size"):
            view(coffee(), np.ones((9, 9), bool))


def test_one_pixel_makes_a_view() -> None:
    mask = np.zeros(coffee().shape[:2], bool)
    mask[5, 7] = True
    assert (fixed_view(coffee(), mask, 32) == coffee()[5, 7]).all()
