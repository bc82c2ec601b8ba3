"""Evaluation: cached features of 3,500 cases -> Fréchet distance, QS, CLIP scores and their comparison, on one core.

    python -m tests.benchmarks.evaluation

Prints CPU seconds, and ratios to a plain form of the same: the usual formula by NumPy, sklearn's likelihoods, one
resample after the other. Features are random, of the spectrum that gives CLIP's bias floors.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from pbe.evaluation.metrics.differences import differences_of
from pbe.evaluation.metrics.intervals import mean_of
from pbe.evaluation.metrics.sets.bias import distance_to
from pbe.evaluation.metrics.sets.frechet import Floats, frechet_distance, statistics_of
from pbe.evaluation.metrics.sets.mixture import Fit, Mixture, log_likelihoods
from pbe.evaluation.metrics.sets.real_set import real_set_of
from pbe.evaluation.metrics.similarity import cosines

CASES, REAL, DIMENSIONS, COMPONENTS, ROWS = 3500, 40_670, 512, 20, 8
LIMIT_SECONDS = 10


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Run it once: seconds of its one core, and what it returned."""
    began = time.process_time()
    found = call()
    return time.process_time() - began, found


def draw_features(n: int, seed: int) -> np.ndarray:
    spread = np.arange(1, DIMENSIONS + 1) ** -0.6
    return (np.random.default_rng(seed).standard_normal((n, DIMENSIONS)) * spread).astype(np.float32)


def plain_distance(features: np.ndarray, real: np.ndarray) -> float:
    """The usual formula, by eigenvalues of the product of both covariances."""
    first, second = (rows.astype(np.float64) for rows in (features, real))
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shift = first.mean(axis=0) - second.mean(axis=0)
    common = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
    return float(shift @ shift + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * common)


def make_mixture() -> tuple[Mixture, GaussianMixture]:
    """A mixture of full size, which is not fitted: that takes minutes and changes no time here."""
    theirs = GaussianMixture(COMPONENTS, covariance_type="full")
    theirs.weights_ = np.full(COMPONENTS, 1 / COMPONENTS)
    theirs.means_ = draw_features(COMPONENTS, seed=2).astype(np.float64)
    theirs.precisions_cholesky_ = np.triu(np.random.default_rng(3).random((COMPONENTS, DIMENSIONS, DIMENSIONS))) + 1
    theirs.precisions_cholesky_ = np.triu(theirs.precisions_cholesky_)
    parts = theirs.weights_, theirs.means_, theirs.precisions_cholesky_
    return Mixture("random features", "", *parts, Fit(0, 0, 0.0, False)), theirs


def resample_one_by_one(values: Floats) -> Floats:
    """A bootstrap-t of one column, as it is usually written."""
    rng, n = np.random.default_rng(0), len(values)
    ratios = []
    for _ in range(4000):
        drawn = values[rng.integers(n, size=n)]
        ratios.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / n**0.5))
    return np.quantile(ratios, [0.025, 0.975])


def main() -> None:
    threadpool_limits(1)
    features, exemplars, real_features = (draw_features(n, seed) for seed, n in enumerate((CASES, CASES, REAL)))
    mixture, theirs = make_mixture()
    scores = {f"row {row}": np.random.default_rng(row).lognormal(0, 1, CASES).tolist() for row in range(ROWS)}

    preparing, real = timed(lambda: real_set_of(real_features, encoder="random features", digest="", name="real"))
    print(f"statistics of {REAL:,} real pictures, once: {preparing:.2f} s")

    alone, value = timed(lambda: frechet_distance(statistics_of(features, "mine"), real.statistics))
    plain, plain_value = timed(lambda: plain_distance(features, real_features))
    print(f"Fréchet distance alone: {alone:.2f} s = {alone / plain:.2f} x the usual formula with all statistics")
    print(f"    they are {abs(value - plain_value):.0e} apart")
    distance_s, _ = timed(lambda: distance_to(real, features, name="mine", seed=0))
    print(f"the same with floor and extrapolation: {distance_s:.2f} s")

    quality_s, likelihoods = timed(lambda: log_likelihoods(mixture, features))
    sklearn_s, expected = timed(lambda: theirs.score_samples(features.astype(np.float64)))
    worst = np.abs(likelihoods / expected - 1).max()
    print(f"QS: {quality_s:.2f} s = {quality_s / sklearn_s:.2f} x sklearn's score_samples, at most {worst:.0e} apart")

    cosine_s, _ = timed(lambda: cosines(features, exemplars))
    print(f"cosines of {CASES:,} pairs: {cosine_s:.2f} s")
    total = distance_s + quality_s + cosine_s
    print(f"together: {total:.2f} s (limit {LIMIT_SECONDS})")

    mean_s, _ = timed(lambda: mean_of(scores["row 0"], seed=0))
    usual_s, _ = timed(lambda: resample_one_by_one(np.array(scores["row 0"])))
    print(f"mean with interval: {mean_s:.2f} s = {mean_s / usual_s:.2f} x one resample after the other")
    pairs_s, pairs = timed(lambda: differences_of("score", scores, seed=0))
    print(f"differences of {ROWS} rows, {len(pairs)} pairs, with intervals and p: {pairs_s:.2f} s")


if __name__ == "__main__":
    main()
