"""Bias: that the floor is what real pictures score, and that the extrapolation comes nearer to the truth."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pbe.evaluation.metrics.sets.bias import distance_to, draw_statistics, extrapolate, floor_of
from pbe.evaluation.metrics.sets.frechet import Statistics, frechet_distance, statistics_of
from pbe.evaluation.metrics.sets.real_set import RealSet, real_set_of
from pipeline.errors import InputError

Floats = NDArray[np.float64]
ENDLESS = 10**9  # real pictures: their own number adds nothing


def spectrum(d: int, power: float) -> Floats:
    return np.arange(1, d + 1, dtype=np.float64) ** -power


def normal_set(variances: Floats, n: int = ENDLESS) -> RealSet:
    return RealSet("an encoder", "0123456789abcdef", Statistics(np.zeros(len(variances)), np.diag(variances), n))


def draws(variances: Floats, n: int, *, seed: int, mean: Floats | float = 0) -> Floats:
    return mean + np.random.default_rng(seed).standard_normal((n, len(variances))) * np.sqrt(variances)


def leading_bias(variances: Floats) -> float:
    """n x the expected distance of n normal draws from their distribution, for large n.

    The mean adds Tr(S) / n. A scatter error E adds sum |E_ij|² / (2 (l_i + l_j)) (the metric of Bures), and the mean
    square of E_ij is l_i l_j / n, twice that for i = j.
    """
    products = np.outer(variances, variances) * (1 + np.eye(len(variances)))
    return float(variances.sum() + (products / np.add.outer(variances, variances)).sum() / 2)


@pytest.mark.parametrize(("n", "real_n"), [(2000, ENDLESS), (2000, 4000)])
def test_the_floor_of_statistics_is_the_bias_of_both_numbers(n: int, real_n: int) -> None:
    variances = spectrum(24, 1)
    expected = leading_bias(variances) * (1 / n + 1 / real_n)
    assert floor_of(normal_set(variances, real_n), n, seed=0) == pytest.approx(expected, rel=0.15)


def test_the_floor_of_features_is_that_of_new_pictures_of_their_kind() -> None:
    variances = spectrum(16, 1)
    rows = draws(variances, 2000, seed=0)
    real = real_set_of(rows, encoder="e", digest="d", name="real")
    expected = leading_bias(variances) * (1 / 400 + 1 / 1600)
    assert floor_of(real, 400, seed=0) == pytest.approx(expected, rel=0.25)
    shuffled = real_set_of(rows[::-1], encoder="e", digest="d", name="real")
    assert floor_of(shuffled, 400, seed=0) == floor_of(real, 400, seed=0)


def test_the_floor_of_features_that_are_not_normal_is_their_own() -> None:
    """Heavy tails make the scatter of few pictures noisier than a normal distribution would have it."""
    rows = np.random.default_rng(1).standard_t(5, (4000, 8))
    real = real_set_of(rows, encoder="e", digest="d", name="real")
    only_statistics = RealSet("e", "d", real.statistics)
    assert floor_of(real, 200, seed=0) > 1.2 * floor_of(only_statistics, 200, seed=0)


@pytest.mark.slow
def test_the_floor_is_the_one_measured_on_clip_features_of_photos() -> None:
    """512 dimensions of a power law's spectrum, scaled to the floor at 3,500, have those at other numbers, too."""
    variances = spectrum(512, 1.2)
    real = normal_set(variances * 0.87 * 3500 / leading_bias(variances))
    for n, measured in {64: 40, 500: 6.8}.items():
        assert floor_of(real, n, seed=0) == pytest.approx(measured, rel=0.06)


@pytest.mark.parametrize("n", [5, 12, 40])
def test_drawn_statistics_are_those_of_draws(n: int) -> None:
    """Means over many draws: of the mean, the covariance and its squares."""
    real = Statistics(np.array([1.0, -2.0, 0.0]), np.array([[2.0, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]), 100)
    drawn = [draw_statistics(real, n, np.random.default_rng(seed)) for seed in range(3000)]
    np.testing.assert_allclose(np.mean([each.mean for each in drawn], axis=0), real.mean, atol=0.05)
    np.testing.assert_allclose(np.mean([each.covariance for each in drawn], axis=0), real.covariance, atol=0.1)
    spread = np.var([each.covariance[0, 0] for each in drawn])
    assert spread == pytest.approx(2 * real.covariance[0, 0] ** 2 / (n - 1), rel=0.15)
    assert {each.n for each in drawn} == {n}


@pytest.mark.parametrize("mean", [0.0, 0.3])
@pytest.mark.parametrize("wider", [1.0, 1.5])
def test_the_extrapolation_is_nearer_to_the_truth_than_the_plain_distance(mean: float, wider: float) -> None:
    variances = spectrum(32, 0.5)
    real = normal_set(variances)
    truth = 32 * mean**2 + float(((np.sqrt(wider) - 1) ** 2 * variances).sum())
    plain_errors, errors = [], []
    for seed in range(6):
        found = distance_to(real, draws(variances * wider, 120, seed=seed, mean=mean), name="mine", seed=0)
        assert found.extrapolated is not None
        plain_errors.append(found.value - truth)
        errors.append(found.extrapolated - truth)
    assert np.mean(plain_errors) > 0
    assert abs(np.mean(errors)) < 0.4 * np.mean(plain_errors)
    assert np.mean(np.abs(errors)) < np.mean(np.abs(plain_errors))


def test_too_few_pictures_are_not_extrapolated() -> None:
    """Below as many as dimensions, the distance is not linear in 1 / n."""
    variances = spectrum(16, 1)
    real = normal_set(variances)
    assert distance_to(real, draws(variances, 33, seed=0), name="mine", seed=0).extrapolated is None
    assert distance_to(real, draws(variances, 34, seed=0), name="mine", seed=0).extrapolated is not None


def test_two_pictures_have_a_distance_and_a_floor() -> None:
    variances = spectrum(4, 1)
    found = distance_to(normal_set(variances), draws(variances, 2, seed=0), name="mine", seed=0)
    assert found.n == 2 and found.extrapolated is None
    assert found.floor is not None and found.floor > 0 and found.value > 0


def test_the_order_of_pictures_changes_nothing() -> None:
    variances = spectrum(8, 1)
    rows = draws(variances, 60, seed=0).astype(np.float32)
    real = normal_set(variances, 100)
    assert distance_to(real, rows, name="mine", seed=0) == distance_to(real, rows[::-1], name="mine", seed=0)


def test_the_value_is_the_plain_distance() -> None:
    variances = spectrum(8, 1)
    rows, real = draws(variances, 60, seed=0), normal_set(variances)
    found = distance_to(real, rows, name="mine", seed=0)
    assert found.value == frechet_distance(statistics_of(rows, "mine"), real.statistics)
    assert found.extrapolated == extrapolate(real.statistics, rows, found.value, name="mine", seed=0)


def test_features_of_another_dimension_are_refused() -> None:
    with pytest.raises(InputError, match="mine: features have 3 dimensions, the real ones 4"):
        distance_to(normal_set(np.ones(4)), np.random.default_rng(0).random((9, 3)), name="mine", seed=0)
