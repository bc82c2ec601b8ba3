"""The sample photos of the evidence: boxes within photos, holes that are boxes, licences that allow to show them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from examples.small_model.edits import EDITS, draw_edits
from examples.small_model.photos import random_box
from examples.small_model.samples import PHOTOS, box_px, cut_object, hole_of, read_boxes, read_photo, shows_enough
from examples.small_model.swap import make_edits
from pipeline.rng import rng_for


@given(st.integers(0, 10_000), st.integers(1, 300), st.integers(1, 300))
def test_a_box_covers_a_pixel_at_least_and_lies_in_its_picture(seed: int, width: int, height: int) -> None:
    sides = random_box(rng_for(0, "box", seed))
    left, top, right, bottom = box_px(sides, width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    hole = hole_of(sides, width)
    assert hole.shape == (width, width) and 0 < hole.sum() <= hole.size


def test_every_photo_that_may_be_shown_has_objects_and_the_others_none() -> None:
    assert {each.photo for each in read_boxes()} == set(PHOTOS)
    photo = read_photo("flower")
    [largest, *_] = [each for each in read_boxes() if each.photo == "flower"]
    height, width = cut_object(photo, largest.sides).shape[:2]
    assert largest.label == "Flower" and 0.4 < width / photo.shape[1] < 0.5 and 0.6 < height / photo.shape[0] < 0.7


def test_the_page_edits_every_photo_with_objects_of_others_and_is_drawn_the_same_again() -> None:
    edits, again = draw_edits(), draw_edits()
    assert len(edits) == EDITS and len({edit.seed for edit in edits}) == EDITS
    for number, (edit, other) in enumerate(zip(edits, again, strict=True)):
        assert np.array_equal(edit.source, other.source) and np.array_equal(edit.exemplar, other.exemplar)
        assert edit.source.shape[:2] == edit.mask.shape and edit.mask.any()
        assert shows_enough(edit.exemplar)
        assert not edit.of.startswith(f"{list(PHOTOS)[number % len(PHOTOS)]}:")


def test_a_swap_changes_the_exemplar_alone() -> None:
    edits = make_edits(0)
    assert len({edit.of for edit in edits}) == len(edits) == 8
    assert sum(not edit.of.startswith("generated") for edit in edits) >= 4
    first = edits[0]
    for edit in edits[1:]:
        assert np.array_equal(edit.source, first.source) and np.array_equal(edit.mask, first.mask)
        assert edit.seed == first.seed and not np.array_equal(edit.exemplar, first.exemplar)
