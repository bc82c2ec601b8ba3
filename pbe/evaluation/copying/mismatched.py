"""Mismatched: pairs that have nothing to do with each other -> the score above which a hole counts as copied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pbe.evaluation.copying.pasting import paste_exemplar
from pbe.evaluation.copying.score import Exemplar, Region, copy_paste_score, correlate
from pbe.evaluation.metrics.measured import Measured
from pipeline.arrays import Hole, Pixels
from pipeline.rng import rng_for

LEAST_PAIRS = 1000  # for a 99th percentile
PAIRS = 2000  # that are scored where the bench has so many
QUANTILE = 0.99


@dataclass(frozen=True, eq=False)
class CopyCase:
    """A case as mismatched pairs need it.

    Args:
        name: unique among them.
        regions: what its hole shows: in the source, and perhaps in results; those come last, and the later ones are
            taken only where the earlier ones make too few pairs.
        exemplar: its exemplar.
        photos: digests or ids of its photos; cases that share one are no mismatched pair.
    """

    name: str
    regions: Sequence[Region]
    exemplar: Exemplar
    photos: frozenset[str] = frozenset()


def null_scores(cases: Sequence[CopyCase], *, seed: int = 0) -> NDArray[np.float64]:
    """Score the holes of cases against the exemplars of others, in pairs that are drawn at random.

    Args:
        cases: in any order.
        seed: of the draw.

    Returns:
        [n] scores, -1..1; n is PAIRS, or as many as there are.
    """
    pairs = _mismatched(sorted(cases, key=lambda case: case.name), seed=seed)
    chosen = [pair for pair, _ in zip(pairs, range(PAIRS), strict=False)]
    return np.array([correlate(region, exemplar) for region, exemplar in chosen])


def threshold(null: NDArray[np.float64]) -> float | None:
    """Return the score above which a case counts as copied: the null's 99th percentile; None: too few pairs."""
    return float(np.quantile(null, QUANTILE)) if len(null) >= LEAST_PAIRS else None


def paste_score(source: Pixels, mask: Hole, exemplar: Pixels, exemplar_mask: Hole | None = None) -> Measured:
    """Score an exact paste of a case's exemplar into its hole: what a complete copy would have."""
    pasted = paste_exemplar(source, mask, exemplar)
    return copy_paste_score(pasted, mask, exemplar, exemplar_mask)


def normalise_copy(mean: float, *, null: float, pasted: float) -> float | None:
    """Bring a mean score to 0 = unrelated, 1 = pasted; None: pastes score no more than unrelated pairs."""
    return (mean - null) / (pasted - null) if pasted > null else None


def _mismatched(cases: Sequence[CopyCase], *, seed: int) -> Iterator[tuple[Region, Exemplar]]:
    """Yield each pair of a hole and another case's exemplar once: every case's first hole before any second."""
    rng = rng_for(seed, "mismatched pairs", *(case.name for case in cases))
    order = rng.permutation(len(cases))
    steps = 1 + rng.permutation(max(len(cases) - 1, 0))
    for which in range(max((len(case.regions) for case in cases), default=0)):
        for step in steps:
            for first, second in zip(order, np.roll(order, step), strict=True):
                ours, theirs = cases[first], cases[second]
                if which < len(ours.regions) and not ours.photos & theirs.photos:
                    yield ours.regions[which], theirs.exemplar
