"""The canvas: which crop is edited, and what comes back."""

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pbe.editing.canvas import AIMS, Aims, aims_within, blend, crop_for_editing, cut_mask, hole_box, hole_side, seam
from pbe.weights.hole_sides import PERCENTS
from pipeline.decoding.colour import Planes
from pipeline.draws.crops import Crop
from pipeline.draws.masks import rectangle
from pipeline.draws.raster import raster_mask

SIZES, SHARES = st.integers(8, 300), st.floats(1 / 16, 1)
RESOLUTION = 64


@st.composite
def masks(draw: Any) -> NDArray[np.bool_]:
    """A source-sized mask of one to three rectangles."""
    height, width = draw(SIZES), draw(SIZES)
    mask = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(1, 3))):
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        mask[y : y + draw(st.integers(1, height)), x : x + draw(st.integers(1, width))] = True
    return mask


@given(masks())
def test_the_crop_holds_the_hole_and_is_square_where_the_source_leaves_context(mask: NDArray[np.bool_]) -> None:
    crop = crop_for_editing(mask, RESOLUTION)
    height, width = mask.shape
    left, top, right, bottom = crop.box
    x0, y0, x1, y1 = hole_box(mask)
    assert 0 <= left <= x0 < x1 <= right <= width and 0 <= top <= y0 < y1 <= bottom <= height
    along, short = (x1 - x0 if width > height else y1 - y0), min(height, width)
    if 4 * along <= 3 * short:
        assert right - left == bottom - top and crop.fit == "crop"
    else:
        assert min(right - left, bottom - top) == short
        assert max(right - left, bottom - top) == min(max(height, width), -(-4 * along // 3))


@given(masks(), st.just(AIMS) | st.lists(SHARES, min_size=2, max_size=2).map(lambda pair: Aims(*sorted(pair))))
def test_the_hole_takes_a_share_of_the_crop_within_the_aims_where_the_source_allows(
    mask: NDArray[np.bool_], aims: Aims
) -> None:
    crop = crop_for_editing(mask, RESOLUTION, aims=aims)
    x0, y0, x1, y1 = hole_box(mask)
    longest = max(x1 - x0, y1 - y0)
    needed = math.ceil(longest / aims.most)  # px along the crop's side
    if needed <= min(mask.shape):
        assert crop.fit == "crop" and hole_side(mask, crop) <= aims.most
        assert hole_side(mask, crop) >= aims.least or crop.box[2] - crop.box[0] == needed  # rounded up to a pixel
    left, top, right, bottom = crop.box
    assert left <= x0 < x1 <= right and top <= y0 < y1 <= bottom and 0 < hole_side(mask, crop) <= 1


@given(masks())
def test_the_whole_context_is_the_largest_square_that_holds_the_hole_or_else_the_source(
    mask: NDArray[np.bool_],
) -> None:
    crop, (height, width) = crop_for_editing(mask, RESOLUTION, context="whole"), mask.shape
    left, top, right, bottom = crop.box
    x0, y0, x1, y1 = hole_box(mask)
    assert 0 <= left <= x0 < x1 <= right <= width and 0 <= top <= y0 < y1 <= bottom <= height
    if max(x1 - x0, y1 - y0) <= min(height, width):
        assert right - left == bottom - top == min(height, width) and crop.fit == "crop"
    else:
        assert crop.box == (0, 0, width, height) and crop.fit == "squash"


@given(st.lists(SHARES, min_size=len(PERCENTS), max_size=len(PERCENTS)).map(sorted))
def test_the_aims_are_a_quarter_and_two_thirds_but_never_what_few_samples_of_the_training_had(
    sides: list[float],
) -> None:
    seen = {str(percent): side for percent, side in zip(PERCENTS, sides, strict=True)}
    aims = aims_within(seen)
    assert aims_within(None) == Aims(1 / 4, 2 / 3)
    assert seen["5"] <= aims.least <= aims.most <= seen["95"]
    for aim, usual in ((aims.least, 1 / 4), (aims.most, 2 / 3)):
        assert aim == usual or not seen["5"] <= usual <= seen["95"]


@pytest.mark.parametrize(("hole", "context"), [(128, "auto"), (341, "auto"), (384, "auto"), (8, "whole")])
def test_a_source_of_the_models_size_is_edited_whole(hole: int, context: Any) -> None:
    mask = np.zeros((512, 512), bool)
    mask[30 : 30 + hole, 40 : 40 + hole] = True
    assert crop_for_editing(mask, 512, context=context).box == (0, 0, 512, 512)


@settings(max_examples=60)
@given(masks(), st.sampled_from(["hole", "crop", "paste"]), st.integers(0, 2**32 - 1))
def test_pixels_outside_the_crop_never_change_and_the_hole_does(mask: NDArray[np.bool_], how: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 100, (*mask.shape, 3), dtype=np.uint8)
    edited = np.full((RESOLUTION, RESOLUTION, 3), 200, np.uint8)
    crop = crop_for_editing(mask, RESOLUTION)
    before = source.copy()
    whole = blend(Planes(source), edited, mask, crop, how=how).pixels
    inside = np.zeros(mask.shape, bool)
    left, top, right, bottom = crop.box
    inside[top:bottom, left:right] = True
    assert np.array_equal(source, before)
    assert np.array_equal(whole[~inside], source[~inside])
    assert (whole[mask] > source[mask]).all()
    if how == "paste":
        assert np.array_equal(whole[~mask], source[~mask])
    else:
        assert (whole[mask] == 200).all()


@given(masks())
def test_the_seam_has_no_step_beside_the_crops_inner_sides(mask: NDArray[np.bool_]) -> None:
    """Where a crop's side lies inside the source and away from the hole, the edited picture begins at a low share."""
    crop = crop_for_editing(mask, RESOLUTION)
    left, top, right, bottom = crop.box
    x0, _, _, _ = hole_box(mask)
    for how in ("hole", "crop"):
        alpha = seam(mask, crop, how=how)  # type: ignore[arg-type]
        assert alpha.shape == (bottom - top, right - left) and alpha.min() >= 0 and alpha.max() == 1
        if left > 0:
            feather = min(min(right - left, bottom - top) / 16, x0 - left)
            assert alpha[:, 0].max() <= 1 / (feather + 1) + 1e-6


@given(st.integers(0, 30), st.integers(0, 30), st.integers(2, 34), st.integers(2, 34))
def test_a_boxs_mask_is_the_raster_of_its_polygon_within_the_half_pixel_that_the_raster_adds(
    x: int, y: int, w: int, h: int
) -> None:
    mask = np.zeros((64, 64), bool)
    mask[y : y + h, x : x + w] = True
    crop = Crop((0, 0, 64, 64), "crop")
    ours = cut_mask(mask, crop, 64)
    polygon = (rectangle((x, y, x + w, y + h)) / 64).astype(np.float32)
    raster = raster_mask(polygon, 64)
    assert (raster >= ours).all()
    assert not raster[: max(y - 1, 0)].any() and not raster[y + h + 1 :].any()


@given(masks())
def test_every_part_of_a_hole_however_thin_is_seen_by_the_model(mask: NDArray[np.bool_]) -> None:
    crop = crop_for_editing(mask, RESOLUTION)
    left, top, right, bottom = crop.box
    seen = cut_mask(mask, crop, RESOLUTION)
    near = cv2.dilate(seen, np.ones((3, 3), np.uint8))  # cells beside a seen one hold less than half of the hole's edge
    rows, columns = np.nonzero(mask)
    height, width = bottom - top, right - left
    assert near[(rows - top) * RESOLUTION // height, (columns - left) * RESOLUTION // width].all()


@pytest.mark.parametrize("thick", [1, 2, 5, 30])
def test_with_paste_thin_parts_of_a_mask_are_painted_as_its_body_is(thick: int) -> None:
    mask = np.zeros((512, 512), bool)
    mask[200:320, 200:320] = True
    mask[256 : 256 + thick, 320:450] = True
    crop = crop_for_editing(mask, 512)
    left, top, _, _ = crop.box
    arm = seam(mask, crop, how="paste")[256 - top : 256 + thick - top, 360 - left : 440 - left]
    assert arm.max(axis=0).min() == 1 and arm.mean() > 0.6
