"""Pasting, segmenting, harmonising: what changes, and what does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.copying.harmonising import harmonise_reinhard
from pbe.evaluation.copying.pasting import paste_exemplar, paste_object
from pbe.evaluation.copying.segmenting import segment_exemplar
from tests.pbe.evaluation.copying.pictures import hole, texture

SOURCE = texture("source", 120, 140)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99), rows=st.integers(1, 50), columns=st.integers(1, 50), masked=st.booleans(),
    left=st.integers(0, 100), top=st.integers(0, 100), width=st.integers(1, 40), height=st.integers(1, 20),
)  # fmt: skip
def test_paste_changes_nothing_outside_any_hole(
    seed: int, rows: int, columns: int, masked: bool, left: int, top: int, width: int, height: int
) -> None:
    mask = hole(120, 140, (left, top, left + width, top + height))
    rng = np.random.default_rng(seed)
    object_mask = None
    if masked:
        object_mask = rng.random((rows, columns)) < 0.5
        object_mask[rng.integers(rows), rng.integers(columns)] = True
    before = SOURCE.copy()
    pasted, where = paste_object(SOURCE, mask, texture(str(seed), rows, columns), object_mask)
    assert not (where & ~mask).any()
    assert np.array_equal(pasted[~where], SOURCE[~where])
    assert np.array_equal(SOURCE, before)


def test_exemplar_of_the_holes_size_is_pasted_bit_for_bit() -> None:
    exemplar = texture("exemplar", 40, 60)
    pasted = paste_exemplar(SOURCE, hole(120, 140, (30, 20, 90, 60)), exemplar)
    assert np.array_equal(pasted[20:60, 30:90], exemplar)


def test_masked_object_keeps_its_proportions_and_fills_one_side_of_the_hole() -> None:
    object_mask = hole(50, 50, (10, 20, 30, 30))  # 2 to 1
    _, where = paste_object(SOURCE, hole(120, 140, (40, 30, 100, 90)), texture("exemplar", 50, 50), object_mask)
    assert np.array_equal(where, hole(120, 140, (40, 45, 100, 75)))


def test_segment_finds_a_disc_on_another_ground() -> None:
    y, x = np.mgrid[:200, :160]
    disc = (y - 100) ** 2 + (x - 80) ** 2 < 60**2
    exemplar = np.where(disc[..., None], texture("red", 200, 160) // 3 + [150, 0, 0], texture("blue", 200, 160) // 3)
    found = segment_exemplar(exemplar.astype(np.uint8))
    assert (found & disc).sum() / (found | disc).sum() > 0.9


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (16, 16), (40, 600)])
def test_segment_is_never_empty_and_always_the_same(size: tuple[int, int]) -> None:
    for exemplar in (texture("any", *size), np.full((*size, 3), 90, np.uint8)):
        found = segment_exemplar(exemplar)
        assert found.shape == size
        assert found.mean() >= 0.15
        assert np.array_equal(found, segment_exemplar(exemplar))


def test_harmonised_paste_has_the_colours_around_it() -> None:
    mask = hole(120, 140, (40, 30, 100, 90))
    composite = np.where(mask[..., None], texture("paste", 120, 140) // 2 + 120, SOURCE // 3).astype(np.uint8)
    harmonised = harmonise_reinhard(composite, mask)
    assert np.array_equal(harmonised[~mask], composite[~mask])
    assert np.abs(harmonised[mask].mean(axis=0) - composite[~mask].mean(axis=0)).max() < 4
    assert np.abs(composite[mask].mean(axis=0) - composite[~mask].mean(axis=0)).max() > 80


@pytest.mark.parametrize("everything", [True, False])
def test_nothing_to_harmonise_changes_nothing(everything: bool) -> None:
    assert np.array_equal(harmonise_reinhard(SOURCE, np.full(SOURCE.shape[:2], everything)), SOURCE)


def test_flat_paste_is_moved_without_a_division_by_nothing() -> None:
    mask = hole(120, 140, (40, 30, 100, 90))
    flat = np.where(mask[..., None], np.uint8(250), SOURCE // 3)
    assert np.abs(harmonise_reinhard(flat, mask)[mask].mean(axis=0) - flat[~mask].mean(axis=0)).max() < 6
