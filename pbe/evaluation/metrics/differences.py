"""Differences: one metric of several rows -> the mean difference of each pair, and whether it is chance.

A pair's p is that of the sign-flip permutation test: were two rows as good as each other, the difference of a case
would be as likely with the other sign. It tests the mean that the table shows, which ranks would not (Wilcoxon's test
may find a method better that is worse on average), and supposes no distribution. Imports no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pbe.evaluation.metrics.intervals import column_of, means_of
from pbe.evaluation.summary import Difference
from pipeline.rng import rng_for

Floats = NDArray[np.float64]

FLIPS = 9_999
_ALL_OF = 13  # cases, up to which every pattern of signs is tried: 8,192
_AT_ONCE = 500
_TIE = 1e-9  # of the sum of all |differences|: sums closer than this differ by rounding


def differences_of(metric: str, rows: Mapping[str, Sequence[float | None]], *, seed: int) -> tuple[Difference, ...]:
    """Compare all pairs of rows.

    Args:
        rows: by name, one value a case, all in the same order of cases; None: the case has no value.

    Returns:
        One for each pair in the order of the rows that has a case in common; corrected for all of them (Holm).

    Raises:
        ValueError: a value is not finite, or rows differ in length.
    """
    if len({len(values) for values in rows.values()}) > 1:
        raise ValueError(f"{metric}: rows have {sorted({len(values) for values in rows.values()})} cases")
    columns = {name: column_of(values) for name, values in rows.items()}
    pairs = [
        (first, second)
        for first, second in combinations(columns, 2)
        if np.isfinite(columns[first] - columns[second]).any()
    ]
    if not pairs:
        return ()
    differences = np.stack([columns[first] - columns[second] for first, second in pairs], axis=1)
    means = means_of(differences, seed=seed)
    p = sign_flip_p(differences, seed=seed)
    return tuple(
        Difference(metric, first, second, mean, float(alone), float(corrected))
        for (first, second), mean, alone, corrected in zip(pairs, means, p, holm(p), strict=True)
    )


def sign_flip_p(differences: Floats, *, seed: int) -> Floats:
    """Compute two-sided p of means: [cases, k], NaN where a case has no difference -> [k].

    Exact up to 13 cases; else over FLIPS random patterns and the observed one, so that no p is below 1 / (FLIPS + 1).
    """
    given = np.nan_to_num(differences)  # a case without a difference adds nothing, whatever its sign
    tie = _TIE * np.abs(given).sum(axis=0)
    observed = np.abs(given.sum(axis=0)) - tie
    extreme, tried = np.zeros(given.shape[1]), 0
    for signs in _signs(len(given), seed=seed):
        extreme += (np.abs(signs @ given) >= observed).sum(axis=0)
        tried += len(signs)
    return extreme / tried


def holm(p: Floats) -> Floats:
    """Correct the p of a family of tests (Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def _signs(cases: int, *, seed: int) -> Iterator[Floats]:
    """Give patterns of signs, [m, cases] of -1 and 1 at a time: all of them, or the observed one and random ones."""
    if cases <= _ALL_OF:
        patterns = np.arange(2**cases)[:, None] >> np.arange(cases) & 1
        yield (1 - 2 * patterns).astype(np.float64)
        return
    yield np.ones((1, cases))
    rng = rng_for(seed, "sign flips", cases)
    for first in range(0, FLIPS, _AT_ONCE):
        drawn = rng.integers(2, size=(min(_AT_ONCE, FLIPS - first), cases), dtype=np.int8)
        yield (1 - 2 * drawn).astype(np.float64)
