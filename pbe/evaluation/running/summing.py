"""Summing: all scores -> the summary. Imports no torch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from pbe.evaluation.copying.mismatched import normalise_copy
from pbe.evaluation.methods.protocol import facts_of
from pbe.evaluation.metrics.differences import differences_of
from pbe.evaluation.metrics.intervals import mean_of, rate_of
from pbe.evaluation.running.comparison import Comparison
from pbe.evaluation.summary import BenchFacts, Difference, Mean, Metric, Row, SetDistance, Summary
from pipeline.storage.redaction import redact
from schemas.scores import score_of

RATES = ("copied", "outside_exact")
RANGES = {
    "clip_score_official": (-100.0, 100.0),
    "clip_score_fixed": (-100.0, 100.0),
    "similarity": (-1.0, 1.0),
    "exemplar_colour": (0.0, inf),
    "quality": (0.0, 100.0),
    "copy_paste": (-1.0, 1.0),
    "outside_ssim": (-1.0, 1.0),
    "outside_colour": (0.0, inf),
    "seam": (0.0, inf),
}
"""Of columns of SCORES that have one."""
LONGEST = 200  # characters of a reason in the table
SEED = 0  # of intervals and significance: the same numbers give the same intervals
Scores = Mapping[str, Sequence[Mapping[str, Any]]]
"""By row of the table, rows of SCORES in the order of the bench."""


@dataclass(frozen=True)
class CopyFacts:
    """What copy-paste scores are held against.

    Args:
        threshold: above which a result counts as copied; None: too few unrelated pairs.
        unrelated: mean score of unrelated pairs.
        pasted: mean score of the bench's exemplars pasted into its holes.
        pairs: unrelated ones.
    """

    threshold: float | None
    unrelated: float | None
    pasted: float | None
    pairs: int


def mark_copies(scores: Scores, copies: CopyFacts) -> dict[str, list[dict[str, Any]]]:
    """Say of each score whether it is that of a copy."""

    def is_copy(score: Mapping[str, Any]) -> bool | None:
        value = score["copy_paste"]
        return None if value is None or copies.threshold is None else value > copies.threshold

    return {row: [{**score, "copied": is_copy(score)} for score in column] for row, column in scores.items()}


def summarise(
    comparison: Comparison,
    scores: Scores,
    *,
    metrics: Sequence[Metric],
    distances: Mapping[str, SetDistance],
    copies: CopyFacts,
    banners: Sequence[str],
    notes: Sequence[str],
) -> Summary:
    """Sum up.

    Args:
        distances: Fréchet, by row.
    """
    keys = [metric.key for metric in metrics if not metric.unavailable and metric.key != "frechet"]
    bench = comparison.bench
    rows = [
        Row(
            name=line.name,
            method=comparison.methods[line.method].name,
            variant=line.variant,
            guidance=line.guidance,
            notes=(*facts_of(comparison.methods[line.method]).notes, *why_failed(scores[line.name])),
            cases=len(bench.cases),
            failed=sum(bool(score["failed"]) for score in scores[line.name]),
            means=_means(scores[line.name], keys),
            frechet=distances.get(line.name),
            copy_normalised=_normalised(scores[line.name], copies),
        )
        for line in comparison.lines()
    ]
    rows += [Row(name, name, unavailable=reason) for name, reason in comparison.unavailable]
    return Summary(
        bench=BenchFacts(bench.name, bench.kind, len(bench.cases), comparison.digest, bench.shares_exemplar),
        metrics=tuple(metrics),
        rows=tuple(rows),
        differences=_differences(scores, keys),
        banners=tuple(banners),
        notes=tuple(notes),
    )


def why_failed(scores: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say why a row's cases failed: the commonest reason, and how many cases have others."""
    reasons = Counter(redact(str(score["failed"])) for score in scores if score["failed"])
    if not reasons:
        return ()
    [(reason, count)] = reasons.most_common(1)
    others = reasons.total() - count
    return (f"{count:,} failed: {reason[:LONGEST]}" + (f"; {others:,} for other reasons" if others else ""),)


def within_range(mean: Mean | None, key: str) -> Mean | None:
    """Cut an interval off where its metric ends: Student's, of a few cases, may reach beyond."""
    if mean is None or mean.low is None or mean.high is None:
        return mean
    lowest, highest = RANGES.get(key.partition(":")[0], (-inf, inf))
    return replace(mean, low=max(mean.low, min(lowest, mean.value)), high=min(mean.high, max(highest, mean.value)))


def _means(scores: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, Mean]:
    means = {
        key: rate_of([score[key] for score in scores])
        if key in RATES
        else within_range(mean_of([score_of(dict(score), key) for score in scores], seed=SEED), key)
        for key in keys
    }
    return {key: mean for key, mean in means.items() if mean is not None}


def _differences(scores: Scores, keys: Sequence[str]) -> tuple[Difference, ...]:
    found: list[Difference] = []
    for key in keys:
        columns = {row: [score_of(dict(score), key) for score in column] for row, column in scores.items()}
        found += differences_of(key, columns, seed=SEED)
    return tuple(found)


def _normalised(scores: Sequence[Mapping[str, Any]], copies: CopyFacts) -> float | None:
    """Place a row's mean between unrelated pairs (0) and pasted exemplars (1)."""
    values = [score["copy_paste"] for score in scores if score["copy_paste"] is not None]
    if not values or copies.unrelated is None or copies.pasted is None:
        return None
    return normalise_copy(sum(values) / len(values), null=copies.unrelated, pasted=copies.pasted)
