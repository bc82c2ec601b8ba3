"""Hashes of windows: what they ignore, and how those of flips and turns follow."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pbe.evaluation.overlap.windows import SMALL_PX, TURNS, WINDOWS, hash_windows, turn, turn_hashes, windows_of
from pipeline.rng import rng_for


def picture(*key: int) -> NDArray[np.float32]:
    """Random blobs of several sizes, as photos have."""
    rng = rng_for(0, "overlap", *key)
    layers = [
        cv2.resize(rng.standard_normal((side, side)), (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_CUBIC) * 60 / side
        for side in (3, 6, 12, 40)
    ]
    return np.asarray(128 + 4 * np.sum(layers, axis=0), np.float32)


@pytest.mark.parametrize("number", range(8), ids=TURNS)
def test_the_hash_of_a_turned_picture_follows_from_its_own(number: int) -> None:
    grey = picture(1)
    turned = np.ascontiguousarray(turn(grey, number))
    assert np.bitwise_count(turn_hashes(hash_windows(grey)[0])[number, 0] ^ hash_windows(turned)[0][0]) <= 1  # rounding


def test_turns_are_named_as_they_are_made() -> None:
    corner = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for number, name in enumerate(TURNS):
        degrees = int(name.split()[-1]) if "turned" in name else 0
        mirrored = corner[:, ::-1] if "mirrored" in name else corner
        assert np.array_equal(turn(corner, number), np.rot90(mirrored, degrees // 90)), name


def test_hashes_ignore_brightness_contrast_and_pixels_outside_their_window() -> None:
    grey = picture(2)
    assert np.array_equal(hash_windows(grey)[0], hash_windows(grey * 0.5 + 40)[0])
    inner = next(place for place, window in enumerate(WINDOWS) if window == ((0.0, 0.8), (0.0, 0.8)))
    other = grey.copy()
    other[:, int(0.8 * SMALL_PX) :] = 0
    assert hash_windows(grey)[0][inner] == hash_windows(other)[0][inner]
    assert hash_windows(grey)[0][0] != hash_windows(other)[0][0]


def test_a_window_that_shows_nothing_is_flat() -> None:
    assert hash_windows(picture(3))[1].all()
    grey = np.full((SMALL_PX, SMALL_PX), 90, np.float32)
    grey += rng_for(0, "noise").standard_normal(grey.shape).astype(np.float32)
    assert not hash_windows(grey)[1].any()


def test_each_photo_has_52_windows_inside_of_it() -> None:
    assert len(set(WINDOWS)) == len(WINDOWS) == 69
    assert all(0 <= low < high <= 1 + 1e-9 for window in WINDOWS for low, high in window)
    wide, tall = windows_of(640, 480).tolist(), windows_of(480, 640).tolist()
    assert len(wide) == len(tall) == 52
    assert {WINDOWS[place] for place in wide} == {WINDOWS[place][::-1] for place in tall}
