"""Preparation: what an encoder sees of a picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.data import chelsea, coffee

from pbe.evaluation.metrics.encoders.preparation import Preparation, squash
from pipeline.encoders.libraries import transformers

CLIP_LIKE = Preparation(24, 24, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.integers(0, 20), st.integers(0, 2**32))
def test_any_picture_becomes_a_square_of_values_in_0_to_1(
    height: int, width: int, side: int, more: int, seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    square = Preparation(side, side + more, (0, 0, 0), (1, 1, 1)).square(picture)
    assert square.shape == (side, side, 3) and square.dtype == np.float32
    assert square.min() >= 0 and square.max() <= 1


@pytest.mark.parametrize("photo", [chelsea()[:200, :301], coffee()[:300, :150]])
def test_the_tensor_is_that_of_transformers_own_clip_processor(photo: np.ndarray) -> None:
    kind = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
    processor = kind(size={"shortest_edge": 24}, crop_size=24, image_mean=CLIP_LIKE.mean, image_std=CLIP_LIKE.std)
    theirs = processor(Image.fromarray(photo), return_tensors="np")["pixel_values"][0]
    ours = CLIP_LIKE.normalise(CLIP_LIKE.square(photo)[None])[0].transpose(2, 0, 1)
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_strip_takes_no_more_memory_than_its_middle() -> None:
    strip = np.zeros((1, 200_000, 3), np.uint8)
    strip[:, 99_000:101_000] = 200
    assert (CLIP_LIKE.square(strip) == np.float32(200) / np.float32(255)).all()


def test_a_square_of_the_right_size_is_taken_as_it_is() -> None:
    wider = Preparation(24, 32, (0, 0, 0), (1, 1, 1))
    pixels = coffee()[:24, :24]
    assert np.array_equal(wider.square(pixels), pixels.astype(np.float32) / np.float32(255))
    assert np.array_equal(wider.square(pixels.astype(np.float32) / 255), wider.square(pixels))


def test_a_float_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="not 24 px a side"):
        CLIP_LIKE.square(np.zeros((24, 25, 3), np.float32))


def test_squashing_keeps_all_of_a_picture() -> None:
    halves = np.zeros((10, 80, 3), np.uint8)
    halves[:, 40:] = 255
    square = squash(halves, 20)
    assert square.shape == (20, 20, 3)
    assert square[:, :8].max() < 16 and square[:, 12:].min() > 240
