"""Colour: what it says of pastes, of the object alone, and of colours whose distance is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from pbe.evaluation.copying.pasting import paste_exemplar
from pbe.evaluation.metrics.colour import exemplar_colour_distance
from pipeline.arrays import Hole, Pixels

Case = tuple[Pixels, Hole, Pixels]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Noise, a hole of any form, an exemplar of another size."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.tuples(st.integers(2, 20), st.integers(2, 20)))
    mask = rng.random(size) < draw(st.floats(0.1, 1))
    mask[0, 0] = True
    return rng.integers(0, 256, (*size, 3), np.uint8), mask, rng.integers(0, 256, (7, 9, 3), np.uint8)


@settings(max_examples=30)
@given(cases())
def test_it_is_the_distance_of_the_two_means_whatever_surrounds_the_hole(case: Case) -> None:
    result, mask, exemplar = case
    means = rgb2lab(result)[mask].mean(axis=0) - rgb2lab(exemplar).mean(axis=(0, 1))
    found = exemplar_colour_distance(result, mask, exemplar)
    assert found == pytest.approx(np.sqrt((means**2).sum()))
    assert exemplar_colour_distance(np.where(mask[..., None], result, 255 - result), mask, exemplar) == found


def test_black_and_white_are_a_hundred_apart_and_a_pasted_exemplar_is_near() -> None:
    rng = np.random.default_rng(0)
    black, mask = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), bool)
    mask[8:30, 5:33] = True
    assert exemplar_colour_distance(black, mask, np.full((5, 5, 3), 255, np.uint8)) == pytest.approx(100, abs=0.1)
    exemplar = np.repeat(np.repeat(rng.integers(0, 256, (4, 4, 3), np.uint8), 16, axis=0), 16, axis=1)
    assert exemplar_colour_distance(paste_exemplar(black, mask, exemplar), mask, exemplar) < 3


def test_of_an_exemplar_with_a_mask_the_object_alone_counts() -> None:
    red, mask = np.full((6, 6, 3), (200, 0, 0), np.uint8), np.ones((6, 6), bool)
    exemplar, outline = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool)
    exemplar[:3], outline[:3] = (200, 0, 0), True
    assert exemplar_colour_distance(red, mask, exemplar, outline) == pytest.approx(0, abs=1e-9)
    whole = exemplar_colour_distance(red, mask, exemplar)
    assert whole > 30 and exemplar_colour_distance(red, mask, exemplar, np.zeros_like(outline)) == whole


def test_an_empty_mask_and_one_of_another_size_are_refused() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="empty"):
        exemplar_colour_distance(picture, np.zeros((8, 8), bool), picture)
    with pytest.raises(ValueError, match="differ in size"):
        exemplar_colour_distance(picture, np.ones((8, 9), bool), picture)
