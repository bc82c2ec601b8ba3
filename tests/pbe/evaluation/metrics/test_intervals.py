"""Intervals: that they cover the truth as often as they say, on skewed scores too."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pbe.evaluation.metrics.intervals import mean_of, means_of, rate_of
from pbe.evaluation.summary import Mean

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]

SCORES: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, size: rng.normal(80, 10, size), 80),
    "lognormal": (lambda rng, size: rng.lognormal(0, 1, size), math.exp(0.5)),
    "exponential": (lambda rng, size: rng.exponential(1, size), 1),
    "half at their highest": (lambda rng, size: np.minimum(rng.normal(1, 1, size), 1), 1 - 1 / math.sqrt(2 * math.pi)),
}


def covered(means: list[Mean], truth: float) -> float:
    """The share of intervals in which the truth lies."""
    return float(np.mean([mean.low <= truth <= mean.high for mean in means]))


@pytest.mark.parametrize("kind", ["lognormal", "half at their highest"])
def test_intervals_of_200_cases_cover_at_93_to_97_percent_in_1000_simulations(kind: str) -> None:
    draw, truth = SCORES[kind]
    means = means_of(draw(np.random.default_rng(1), (200, 1000)), seed=0)
    assert 0.93 <= covered(means, truth) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCORES)
def test_intervals_cover_at_93_to_97_percent_where_each_has_resamples_of_its_own(kind: str) -> None:
    draw, truth = SCORES[kind]
    scores = draw(np.random.default_rng(2), (1000, 200))
    means = [mean_of(list(row), seed=seed) for seed, row in enumerate(scores)]
    assert 0.93 <= covered([mean for mean in means if mean], truth) <= 0.97


def test_intervals_cover_where_half_of_the_cases_have_no_value() -> None:
    rng = np.random.default_rng(3)
    scores = rng.lognormal(0, 0.5, (200, 400))
    scores[rng.random(scores.shape) < 0.5] = np.nan
    assert 0.92 <= covered(means_of(scores, seed=0), math.exp(0.125)) <= 0.98


@pytest.mark.parametrize("n", [2, 9, 10])
def test_intervals_of_few_normal_scores_cover(n: int) -> None:
    scores = np.random.default_rng(4).standard_normal((n, 500))
    assert 0.92 <= covered(means_of(scores, seed=0), 0) <= 0.98


@pytest.mark.parametrize("share", [0.02, 0.3, 0.98])
def test_intervals_of_rates_cover(share: float) -> None:
    flags = np.random.default_rng(5).random((500, 200)) < share
    assert 0.91 <= covered([rate_of(list(row)) for row in flags], share) <= 0.99


@settings(max_examples=20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.integers(0, 3))
def test_an_interval_holds_its_mean_and_does_not_depend_on_the_order(values: list[float], seed: int) -> None:
    mean = mean_of(values, seed=seed)
    assert mean is not None and mean.low is not None and mean.high is not None
    assert mean.n == len(values)
    assert mean.value == pytest.approx(np.mean(values))
    slack = 1e-9 * max(map(abs, values))
    assert mean.low - slack <= mean.value <= mean.high + slack
    assert mean_of(values[::-1], seed=seed) == mean


def test_an_interval_moves_and_grows_with_its_scores() -> None:
    scores = np.random.default_rng(6).lognormal(0, 1, 50)
    plain, other = mean_of(list(scores), seed=0), mean_of(list(1000 + 5 * scores), seed=0)
    assert (other.low, other.high) == pytest.approx((1000 + 5 * plain.low, 1000 + 5 * plain.high))


def test_cases_without_a_value_are_not_counted() -> None:
    assert mean_of([1.0, None, 2.0, None, 6.0], seed=0) == mean_of([1.0, 2.0, 6.0], seed=0)
    assert rate_of([True, None, False]) == rate_of([True, False])
    assert mean_of([None], seed=0) is rate_of([None]) is None


def test_one_case_has_no_interval() -> None:
    assert mean_of([7.0], seed=0) == Mean(7.0, None, None, 1)
    assert rate_of([True]) == Mean(1.0, None, None, 1)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_of([0.5] * 50, seed=0) == Mean(0.5, 0.5, 0.5, 50)


def test_one_odd_value_among_many_equal_ones_leaves_the_interval_finite() -> None:
    mean = mean_of([0.0] * 199 + [1.0], seed=0)
    assert -0.01 < mean.low < 0 < mean.high < 0.02


def test_no_copy_among_200_cases_is_no_proof_that_there_is_none() -> None:
    """Wilson's interval is [0, z² / (n + z²)] there."""
    rate = rate_of([False] * 200)
    assert (rate.value, rate.low) == (0, 0)
    assert rate.high == pytest.approx(1.959964**2 / (200 + 1.959964**2), rel=1e-5)
    assert rate_of([True] * 200).high == 1


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(odd: float) -> None:
    with pytest.raises(ValueError, match=r"1 values are not finite, the first is (nan|inf) of case 1"):
        mean_of([1.0, odd, None], seed=0)
