"""Differences: that chance is called chance as often as it should be, and that corrections correct."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from pbe.evaluation.metrics.differences import FLIPS, differences_of, holm, sign_flip_p

P = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(P)
def test_holm_is_monotone_and_never_below_p(p: list[float]) -> None:
    alone = np.array(p)
    corrected = holm(alone)
    assert (corrected >= alone).all() and (corrected <= 1).all()
    for first, second in product(range(len(p)), repeat=2):
        assert p[first] > p[second] or corrected[first] <= corrected[second]


@given(P)
def test_holm_rejects_what_its_steps_reject(p: list[float]) -> None:
    """Step down from the smallest p, against 0.05 / (tests left), until one is not rejected."""
    rejected: set[int] = set()
    for place, at in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[at] * (len(p) - place) > 0.05:
            break
        rejected.add(at)
    assert set(np.flatnonzero(holm(np.array(p)) <= 0.05)) == rejected


def test_holm_corrects_a_known_family() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(max_examples=20)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=9))
def test_p_of_few_cases_is_the_exact_one_of_scipy(differences: list[int]) -> None:
    given_cases = np.array(differences, dtype=np.float64)  # whole, so that equal sums are equal in any order
    theirs = permutation_test(
        (given_cases,), np.mean, permutation_type="samples", n_resamples=math.inf, alternative="two-sided"
    )
    # SciPy doubles the smaller tail, which here is as large as the other.
    assert sign_flip_p(given_cases[:, None], seed=0)[0] == pytest.approx(min(1, theirs.pvalue))


def test_rows_as_good_as_each_other_are_told_apart_by_chance_in_5_percent() -> None:
    differences = np.random.default_rng(0).laplace(0, 1, (60, 1000))
    assert 0.03 <= (sign_flip_p(differences, seed=0) <= 0.05).mean() <= 0.07


def test_a_row_that_is_better_by_half_a_spread_is_found() -> None:
    differences = np.random.default_rng(1).normal(0.5, 1, (60, 200))
    assert (sign_flip_p(differences, seed=0) <= 0.05).mean() > 0.9


def test_no_p_is_below_what_the_flips_can_show() -> None:
    scores = [float(i % 7) for i in range(50)]
    [found] = differences_of("score", {"a": [2 + score for score in scores], "b": scores}, seed=0)
    assert (found.mean.value, found.p) == (2.0, 1 / (FLIPS + 1))


def test_all_pairs_are_compared_on_the_cases_that_both_have() -> None:
    rows = {"a": [1.0, 2.0, None, 4.0], "b": [0.0, None, 3.0, 2.0], "c": [None, None, 1.0, 1.0]}
    found = differences_of("score", rows, seed=0)
    assert [(each.first, each.second, each.mean.n) for each in found] == [("a", "b", 2), ("a", "c", 1), ("b", "c", 2)]
    assert [each.mean.value for each in found] == [1.5, 3.0, 1.5]
    assert [each.metric for each in found] == ["score"] * 3
    assert found[1].mean.low is None and found[1].p == 1  # one case proves nothing
    assert all(each.p_holm >= each.p for each in found)


def test_rows_in_other_order_differ_by_sign_alone() -> None:
    scores = np.random.default_rng(2).lognormal(0, 1, (2, 40)).tolist()
    [plain] = differences_of("score", dict(zip("ab", scores, strict=True)), seed=0)
    [turned] = differences_of("score", dict(zip("ba", reversed(scores), strict=True)), seed=0)
    assert turned.mean.value == -plain.mean.value and turned.p == plain.p


def test_equal_rows_do_not_differ() -> None:
    [found] = differences_of("score", {"a": [1.0, 2.0] * 20, "b": [1.0, 2.0] * 20}, seed=0)
    assert (found.mean.value, found.mean.low, found.mean.high, found.p, found.p_holm) == (0, 0, 0, 1, 1)


def test_pairs_without_a_common_case_are_left_out() -> None:
    assert differences_of("score", {"a": [1.0, None], "b": [None, 1.0]}, seed=0) == ()
    assert differences_of("score", {"a": [1.0]}, seed=0) == ()


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite, the first is nan of case 0"):
        differences_of("score", {"a": [math.nan], "b": [1.0]}, seed=0)
    with pytest.raises(ValueError, match=r"score: rows have \[1, 2\] cases"):
        differences_of("score", {"a": [1.0], "b": [1.0, 2.0]}, seed=0)
