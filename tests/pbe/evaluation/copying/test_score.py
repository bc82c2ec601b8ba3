"""Copy-paste score: what a copy, a part of one, and something else score."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.copying.harmonising import harmonise_reinhard
from pbe.evaluation.copying.pasting import paste_exemplar, paste_object
from pbe.evaluation.copying.score import copy_paste_score
from tests.pbe.evaluation.copying.pictures import hole, sample_photos, texture

SOURCE = texture("source", 300, 320)
HOLE = hole(300, 320, (60, 50, 240, 210))
EXEMPLAR = texture("exemplar", 160, 140)
PHOTO = np.ascontiguousarray(sample_photos()["chelsea"][60:220, 100:240])


def test_exact_copy_scores_one() -> None:
    assert copy_paste_score(paste_exemplar(SOURCE, HOLE, EXEMPLAR), HOLE, EXEMPLAR).value == pytest.approx(1, abs=0.02)


def test_another_texture_scores_low() -> None:
    assert copy_paste_score(SOURCE, HOLE, EXEMPLAR).value < 0.6


@settings(max_examples=8, deadline=None)
@given(scale=st.floats(0.75, 1.2), down=st.floats(-0.12, 0.12), across=st.floats(-0.12, 0.12), flip=st.booleans())
def test_copy_is_found_scaled_shifted_and_flipped(scale: float, down: float, across: float, flip: bool) -> None:
    left, top = 60 + 180 * (across + (1 - scale) / 2), 50 + 160 * (down + (1 - scale) / 2)  # scaled about the middle
    matrix = np.array([[scale * 180 / 140, 0, left], [0, scale, top]])
    exemplar = np.ascontiguousarray(PHOTO[:, ::-1]) if flip else PHOTO
    moved = cv2.warpAffine(exemplar, matrix, (320, 300), flags=cv2.INTER_AREA)
    drawn = cv2.warpAffine(np.ones(PHOTO.shape[:2], np.uint8), matrix, (320, 300)) > 0
    result = np.where((HOLE & drawn)[..., None], moved, SOURCE)
    assert copy_paste_score(result, HOLE, PHOTO).value > 0.75


def test_only_the_hole_counts() -> None:
    result = paste_exemplar(SOURCE, HOLE, EXEMPLAR)
    elsewhere = np.where(HOLE[..., None], result, texture("other", 300, 320))
    assert copy_paste_score(elsewhere, HOLE, EXEMPLAR) == copy_paste_score(result, HOLE, EXEMPLAR)


def test_only_the_object_of_a_masked_exemplar_counts() -> None:
    object_mask = hole(160, 140, (30, 40, 120, 130))
    other = np.where(object_mask[..., None], EXEMPLAR, texture("other", 160, 140))
    result = paste_exemplar(SOURCE, HOLE, EXEMPLAR, object_mask)
    scores = [copy_paste_score(result, HOLE, exemplar, object_mask).value for exemplar in (EXEMPLAR, other)]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    assert scores[0] > 0.95


def test_cut_out_part_counts_whatever_the_rest_of_the_hole_shows() -> None:
    result = SOURCE.copy()
    result[90:190, 90:200] = paste_exemplar(SOURCE, HOLE, EXEMPLAR)[90:190, 90:200]
    assert copy_paste_score(result, HOLE, EXEMPLAR).value > 0.9


def test_colours_of_a_copy_do_not_matter() -> None:
    pasted, where = paste_object(SOURCE, HOLE, EXEMPLAR)
    dark = (pasted * 0.5 + 20).astype(np.uint8)
    for recoloured in (dark, harmonise_reinhard(np.where(where[..., None], pasted, dark), where)):
        assert copy_paste_score(recoloured, HOLE, EXEMPLAR).value > 0.95


def test_sample_photos_score_high_with_themselves_only() -> None:
    photos = sample_photos()
    for name, source in photos.items():
        mask = hole(*source.shape[:2], (80, 60, 260, 220))
        for other, exemplar in photos.items():
            own = copy_paste_score(paste_exemplar(source, mask, exemplar), mask, exemplar).value
            assert own > 0.95
            if other != name:
                assert copy_paste_score(source, mask, exemplar).value < 0.75


def test_score_is_the_same_to_the_bit() -> None:
    assert copy_paste_score(SOURCE, HOLE, EXEMPLAR) == copy_paste_score(SOURCE.copy(), HOLE.copy(), EXEMPLAR.copy())


@pytest.mark.heavy
@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    columns=st.integers(1, 90),
    rows=st.integers(1, 90),
    key=st.text(),
)
def test_every_size_has_a_score_in_range_or_a_reason(
    width: int, height: int, columns: int, rows: int, key: str
) -> None:
    source, mask = texture(key, 100, 100), hole(100, 100, (5, 5, 5 + width, 5 + height))
    measured = copy_paste_score(source, mask, texture(key + "'", rows, columns))
    assert bool(measured.reason) == (measured.value is None)
    assert measured.value is None or -1 <= measured.value <= 1


@pytest.mark.parametrize(
    ("result", "mask", "exemplar", "reason"),
    [
        (np.full_like(SOURCE, 128), HOLE, EXEMPLAR, "what was painted is flat"),
        (SOURCE, HOLE, np.full_like(EXEMPLAR, 7), "the exemplar is flat"),
        (SOURCE, np.zeros_like(HOLE), EXEMPLAR, "the mask is empty"),
        (SOURCE, hole(300, 320, (9, 9, 13, 90)), EXEMPLAR, "the hole is 4 x 81 px: less than 12"),
        (SOURCE, HOLE, EXEMPLAR[:8], "the exemplar is 140 x 8 px: less than 12"),
    ],
)
def test_what_has_no_score_has_a_reason(result, mask, exemplar, reason) -> None:  # type: ignore[no-untyped-def]
    measured = copy_paste_score(result, mask, exemplar)
    assert (measured.value, measured.reason) == (None, reason)


def test_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        copy_paste_score(SOURCE, HOLE[1:], EXEMPLAR)
    with pytest.raises(ValueError, match="differ in size"):
        copy_paste_score(SOURCE, HOLE, EXEMPLAR, HOLE)
