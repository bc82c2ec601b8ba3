"""Bias: features of a set and real ones -> what the number of pictures does to their Fréchet distance.

Few pictures of the real set itself lie far from it: 40 at 64 pictures, 3.1 at 1,000, 0.87 at 3,500 on CLIP features of
photos. So a distance stands beside its floor, what as many real pictures would score, and its extrapolation to
infinitely many (Chong and Forsyth, "Effectively unbiased FID and Inception Score and where to find them", CVPR 2020).
All draws are without replacement: a resample with repeated pictures lies further away than any set of new ones.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from pbe.evaluation.metrics.sets.frechet import (
    Features,
    Floats,
    Statistics,
    accumulate,
    canonical,
    frechet_distance,
    statistics_of,
    without,
)
from pbe.evaluation.metrics.sets.real_set import RealSet
from pbe.evaluation.summary import SetDistance
from pipeline.errors import InputError
from pipeline.rng import rng_for

FLOOR_DRAWS = 3
SPLITS = 2  # into halves, of which each has two


def distance_to(real: RealSet, features: Features, *, name: str, seed: int) -> SetDistance:
    """Measure how far a set is from the real one, with its floor and its extrapolation.

    Args:
        features: [n, d] float, of the real set's encoder.
        name: of the set, for errors.
        seed: of the draws; the order of the pictures changes nothing.

    Raises:
        InputError: features are not as `statistics_of` takes them, or of another dimension.
    """
    measured = statistics_of(features, name)
    if measured.mean.shape != real.statistics.mean.shape:
        dimensions = len(measured.mean), len(real.statistics.mean)
        raise InputError(f"{name}: features have {dimensions[0]} dimensions, the real ones {dimensions[1]}")
    value = frechet_distance(measured, real.statistics)
    floor = floor_of(real, measured.n, seed=seed)
    return SetDistance(value, measured.n, floor, extrapolate(real.statistics, features, value, name=name, seed=seed))


@lru_cache(maxsize=64)  # the rows of a table share their real set, and mostly n
def floor_of(real: RealSet, n: int, *, seed: int) -> float:
    """Measure what n new real pictures would score, as a mean of FLOOR_DRAWS draws.

    Where features of at least 2 n real pictures are known, n of them are held against the others. Else n pictures and
    as many as the real set has are drawn from a normal distribution with its mean and covariance. Both hold the bias
    of the real set's own number, too, which no number of evaluated pictures takes away.
    """
    if real.features is not None and len(real.features) >= 2 * n:
        pairs = _real_pairs(real.statistics, canonical(real.features, "real pictures"), n, seed)
    else:
        pairs = _normal_pairs(real.statistics, n, seed)
    return float(np.mean([frechet_distance(first, second) for first, second in pairs]))


def extrapolate(real: Statistics, features: Features, value: float, *, name: str, seed: int) -> float | None:
    """Extrapolate a distance to infinitely many pictures: it is nearly linear in 1 / n.

    The line goes through the whole set's value and the mean of its halves' values, at 2 / n. Sizes between them repeat
    the same pictures, and make it no surer.

    Args:
        features: [n, d] float, whose distance to `real` is `value`.
        name: of the set, for errors.

    Returns:
        None: a half has fewer pictures than dimensions, where the distance is not linear yet.
    """
    rows = canonical(features, name)
    half = len(rows) // 2
    if half <= rows.shape[1]:
        return None
    values = []
    for split in range(SPLITS):
        order = rng_for(seed, "halves", split, len(rows)).permutation(len(rows))
        values += [frechet_distance(accumulate([rows[part]], name), real) for part in np.split(order[: 2 * half], 2)]
    slope = (float(np.mean(values)) - value) / (1 / half - 1 / len(rows))
    return max(value - slope / len(rows), 0.0)


def _real_pairs(real: Statistics, rows: Floats, n: int, seed: int) -> Iterator[tuple[Statistics, Statistics]]:
    """Split real pictures into n and the others."""
    for draw in range(FLOOR_DRAWS):
        drawn = rng_for(seed, "floor", draw, n).choice(len(rows), n, replace=False)
        part = accumulate([rows[drawn]], "real pictures")
        yield part, without(real, part)


def _normal_pairs(real: Statistics, n: int, seed: int) -> Iterator[tuple[Statistics, Statistics]]:
    """Draw n pictures, and as many as the real set has, from a normal distribution like it."""
    for draw in range(FLOOR_DRAWS):
        rng = rng_for(seed, "normal floor", draw, n)
        yield draw_statistics(real, n, rng), draw_statistics(real, real.n, rng)


def draw_statistics(real: Statistics, n: int, rng: np.random.Generator) -> Statistics:
    """Draw the statistics of n draws from a normal distribution, without drawing these.

    Their mean is normal; their scatter is Wishart's, drawn by Bartlett's decomposition (Anderson, "An Introduction to
    Multivariate Statistical Analysis", 2003, 7.2).
    """
    d = len(real.mean)
    mean = real.mean + rng.standard_normal(d) @ real.factor / np.sqrt(n)
    rows = _bartlett(n - 1, d, rng) @ real.factor
    return Statistics(mean, rows.T @ rows / (n - 1), n)


def _bartlett(degrees: int, d: int, rng: np.random.Generator) -> Floats:
    """Draw A [min(degrees, d), d] so that A.T @ A is Wishart's with unit covariance."""
    if degrees < d:
        return rng.standard_normal((degrees, d))
    lower = np.tril(rng.standard_normal((d, d)), -1)
    lower[np.diag_indices(d)] = np.sqrt(rng.chisquare(degrees - np.arange(d)))
    return lower.T
