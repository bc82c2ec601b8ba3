"""Fréchet distance: features of two sets -> how far apart the Gaussians are that have their means and covariances.

It is called FID only on the features of the paper's encoder, and is a number of a set: it has no bootstrap interval,
which would miss the truth, because each resample repeats pictures and so lies further away. `bias` says what the number
of pictures does to it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Floats = NDArray[np.float64]
Features = NDArray[np.floating[Any]]  # [n, d], one row a picture, as the encoder gave them: not normalised

_BLOCK = 4096  # rows: bounds the memory


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a Fréchet distance needs of a set.

    Args:
        mean: [d].
        covariance: [d, d], symmetric, of the unbiased form (divided by n - 1); may lack ranks.
        n: pictures.
    """

    mean: Floats
    covariance: Floats
    n: int

    @cached_property
    def factor(self) -> Floats:
        """[d, d] F with F.T @ F = covariance. Eigenvalues that are rounding errors of 0 become 0."""
        values, vectors = np.linalg.eigh(self.covariance)
        values[values < len(values) * np.finfo(np.float64).eps * values[-1]] = 0
        return np.sqrt(values)[:, None] * vectors.T  # type: ignore[no-any-return]


def canonical(features: Features, name: str) -> Floats:
    """Check features and sort their rows by their bytes, so that no result depends on the order of files.

    Args:
        features: [n, d] float.
        name: of the set, for errors.

    Returns:
        [n, d] float64.

    Raises:
        InputError: they have another shape, are no floats, fewer than two, or not finite.
    """
    _check(features, name)
    if len(features) < 2:
        raise InputError(f"{name}: has {len(features)} pictures; a Fréchet distance needs at least two")
    rows = np.ascontiguousarray(features, dtype=np.float64) + 0.0  # -0.0 and 0.0 are one value
    return rows[np.argsort(rows.view(f"V{rows.shape[1] * rows.itemsize}").ravel(), kind="stable")]


def statistics_of(features: Features, name: str) -> Statistics:
    """Measure a set; the order of its rows changes no bit.

    Args:
        features: [n, d] float.
        name: of the set, for errors.

    Raises:
        InputError: as `canonical`, or its covariance overflows.
    """
    rows = canonical(features, name)
    return accumulate((rows[first : first + _BLOCK] for first in range(0, len(rows), _BLOCK)), name)


def accumulate(blocks: Iterable[Features], name: str) -> Statistics:
    """Measure a set that comes in blocks, none of which is kept; their order changes the result by rounding only.

    Pairs of (mean, scatter) are merged as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances" (1979), Eq. 2.1: no large sums of squares cancel.

    Args:
        blocks: each [m, d] float, m may be 0.
        name: of the set, for errors.

    Raises:
        InputError: there are fewer than two rows, blocks differ in dimension, or values are no floats or not finite.
    """
    n, mean, scatter = 0, np.zeros(0), np.zeros((0, 0))
    for block in _checked(blocks, name):
        if n == 0:
            mean, scatter = np.zeros(block.shape[1]), np.zeros((block.shape[1],) * 2)
        if block.shape[1] != len(mean):
            raise InputError(f"{name}: mixes features of {len(mean)} and {block.shape[1]} dimensions")
        total = n + len(block)
        step = block.mean(axis=0) - mean
        centred = block - block.mean(axis=0)
        scatter += centred.T @ centred + np.outer(step, step) * (n * len(block) / total)
        mean += step * (len(block) / total)
        n = total
    if n < 2:
        raise InputError(f"{name}: has {n} pictures; a Fréchet distance needs at least two")
    covariance = scatter / (n - 1)
    if not np.isfinite(covariance).all():
        raise InputError(f"{name}: features are so large that their covariance overflows; check their encoder")
    return Statistics(mean, covariance, n)


def without(whole: Statistics, part: Statistics) -> Statistics:
    """Undo the merging of a part, which holds at most half of the whole: what the other pictures measure."""
    n = whole.n - part.n
    mean = (whole.n * whole.mean - part.n * part.mean) / n
    step = part.mean - mean
    between = np.outer(step, step) * (n * part.n / whole.n)
    scatter = whole.covariance * (whole.n - 1) - part.covariance * (part.n - 1) - between
    return Statistics(mean, scatter / (n - 1), n)


def frechet_distance(first: Statistics, second: Statistics) -> float:
    """Compute |m1 - m2|² + Tr(S1 + S2 - 2 (S1 S2)^½) (Dowson and Landau, 1982; FID: Heusel et al., 2017, Eq. 6).

    The last trace is the sum of the roots of the eigenvalues of S1^½ S2 S1^½, which are the singular values of F2 F1.T.
    Taken as such they are exact to rounding also where covariances lack ranks; the roots of eigenvalues that are
    rounding errors would add up, and a matrix root would not exist.

    Raises:
        ValueError: the sets differ in dimension.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(f"{len(first.mean)} dimensions against {len(second.mean)}")
    shift = first.mean - second.mean
    # Rows of zeros, as small sets have, add nothing but time.
    roots, others = (factor[factor.any(axis=1)] for factor in (first.factor, second.factor))
    common = np.linalg.svd(others @ roots.T, compute_uv=False).sum()
    distance = shift @ shift + np.trace(first.covariance) + np.trace(second.covariance) - 2 * common
    return max(float(distance), 0.0)  # rounding may lead below 0


def _checked(blocks: Iterable[Features], name: str) -> Iterator[Floats]:
    for block in blocks:
        _check(block, name)
        if len(block):
            yield np.asarray(block, dtype=np.float64)


def _check(features: Features, name: str) -> None:
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating) or not features.shape[1]:
        raise InputError(f"{name}: features are {features.dtype} {list(features.shape)}; give floats [n, d]")
    odd = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(odd):
        raise InputError(f"{name}: features of {len(odd)} pictures are not finite, the first in row {odd[0]}")
