import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.decoding.resize import cut, resize
from pipeline.draws.crops import crop_around, extend_box, outer_px
from pipeline.errors import DrawError
from pipeline.rng import rng_for

px = st.integers(8, 1500)
share = st.floats(0, 1)


@given(px, px, share, share, share, share, st.integers(0, 2**32))
def test_the_crop_lies_in_the_photo_around_the_extended_box_around_the_box(
    width: int, height: int, x0: float, x1: float, y0: float, y1: float, seed: int
) -> None:
    box = (min(x0, x1) * width, min(y0, y1) * height, max(x0, x1) * width, max(y0, y1) * height)
    assume(box[2] > box[0] and box[3] > box[1])
    rng = rng_for(seed, "test")
    inner = outer_px(box, width, height)
    extended = extend_box(inner, width, height, rng)
    crop = crop_around(extended, width, height, rng, long_boxes="squash")
    for outer, within in [((0, 0, width, height), crop.box), (crop.box, extended), (extended, inner), (inner, box)]:
        assert outer[0] <= within[0] <= within[2] <= outer[2]
        assert outer[1] <= within[1] <= within[3] <= outer[3]
    crop_width, crop_height = crop.box[2] - crop.box[0], crop.box[3] - crop.box[1]
    long = max(extended[2] - extended[0], extended[3] - extended[1]) > min(width, height)
    assert crop.fit == ("squash" if long else "crop")
    assert crop_width == crop_height or crop.fit == "squash"


def test_a_box_longer_than_the_crop_is_dropped_on_request() -> None:
    with pytest.raises(DrawError, match="longer_than_crop: 90 px, the crop has 50"):
        crop_around((5, 5, 95, 20), 100, 50, rng_for(0, "test"), long_boxes="drop")


def test_extension_and_slide_reach_both_ends_of_their_ranges() -> None:
    lefts, tops, slides = set(), set(), set()
    for seed in range(400):
        rng = rng_for(seed, "test")
        left, top, *_ = extend_box((10, 5, 50, 50), 100, 50, rng)
        lefts.add(left)
        tops.add(top)
        slides.add(crop_around((20, 0, 30, 50), 100, 50, rng, long_boxes="squash").box[0])
    assert lefts == set(range(6, 11))  # int(0.4 * 10) = 4 px
    assert tops == {3, 4, 5}
    assert slides == set(range(21))  # no inset: the box touches the crop's edge; it ends at 30 at the earliest


@pytest.mark.parametrize("shape", [(300, 400), (683, 683), (1000, 600)])
def test_resizing_down_is_torchs_antialiased_bilinear(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(planes, (128, 128), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    assert np.array_equal(resize(pixels, 128), expected.numpy())


def test_fine_stripes_become_grey_not_moire() -> None:
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    assert resize(stripes, 224).std() < 12


def test_cutting_takes_the_box_and_nothing_beside_it() -> None:
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[20:60, 50:90] = 255
    assert cut(photo, (50, 20, 90, 60), 16).min() == 255
    assert cut(photo, (0, 60, 200, 100), 16).max() == 0
