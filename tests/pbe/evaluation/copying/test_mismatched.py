"""Mismatched pairs: which are drawn, and when there is a threshold."""

from dataclasses import replace

import numpy as np
import pytest

from pbe.evaluation.copying import mismatched
from pbe.evaluation.copying.mismatched import CopyCase, normalise_copy, null_scores, paste_score, threshold
from pbe.evaluation.copying.score import Exemplar, Region, correlate, reduce_exemplar, reduce_region
from tests.pbe.evaluation.copying.pictures import hole, texture

HOLE = hole(60, 60, (10, 10, 50, 50))


def _case(name: str, *photos: str) -> CopyCase:
    region, exemplar = reduce_region(texture(name, 60, 60), HOLE), reduce_exemplar(texture(f"of {name}", 40, 40))
    assert isinstance(region, Region)
    assert isinstance(exemplar, Exemplar)
    return CopyCase(name, (region,), exemplar, frozenset(photos))


@pytest.fixture(scope="module")
def cases() -> list[CopyCase]:
    return [_case(name) for name in "abcde"]


def test_every_mismatched_pair_is_scored_once(cases: list[CopyCase]) -> None:
    expected = [correlate(a.regions[0], b.exemplar) for a in cases for b in cases if a is not b]
    assert sorted(null_scores(cases)) == sorted(expected)


def test_scores_depend_on_the_seed_alone_not_on_the_order(
    cases: list[CopyCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mismatched, "PAIRS", 7)
    drawn = null_scores(cases, seed=1)
    assert len(drawn) == 7
    assert np.array_equal(drawn, null_scores(cases[::-1], seed=1))
    assert not np.array_equal(drawn, null_scores(cases, seed=2))


def test_cases_that_share_a_photo_are_no_pair(cases: list[CopyCase]) -> None:
    photos = ({"p"}, {"p", "q"}, {"q"}, {"r"}, {"r"})
    sharing = [replace(case, photos=frozenset(own)) for case, own in zip(cases, photos, strict=True)]
    assert len(null_scores(sharing)) == 20 - 2 * 3


def test_results_are_taken_where_sources_make_too_few_pairs(
    cases: list[CopyCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [replace(case, regions=(*case.regions, *cases[0].regions)) for case in cases]
    assert len(null_scores(more)) == 40
    monkeypatch.setattr(mismatched, "PAIRS", 20)
    assert sorted(null_scores(more)) == sorted(null_scores(cases))


def test_no_case_and_one_case_have_no_pair(cases: list[CopyCase]) -> None:
    assert len(null_scores([])) == len(null_scores(cases[:1])) == 0


def test_threshold_needs_a_thousand_pairs() -> None:
    null = np.linspace(0, 1, 1001)
    assert threshold(null) == pytest.approx(0.99)
    assert threshold(null[:999]) is None


def test_normalised_score_is_0_for_unrelated_and_1_for_pasted() -> None:
    assert normalise_copy(0.3, null=0.3, pasted=0.9) == 0
    assert normalise_copy(0.9, null=0.3, pasted=0.9) == 1
    assert normalise_copy(0.5, null=0.6, pasted=0.6) is None


def test_paste_scores_about_one() -> None:
    assert paste_score(texture("source", 60, 60), HOLE, texture("exemplar", 50, 30)).value > 0.95
