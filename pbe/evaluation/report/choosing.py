"""Choosing: scores -> the cases that the page shows: the worst and the best of each row, failures, seeded others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pbe.evaluation.report.tables import has_value
from pbe.evaluation.summary import Metric, Summary
from pipeline.rng import rng_for
from schemas.scores import SIMILARITY, score_of

MOST_CASES = 200
MOST_PICTURES = 2000  # with many rows, fewer cases: their pictures can still be made out
EXTREMES = 3  # worst, best and failed cases of a row
OTHERS = 4  # at least one case in so many is a seeded one
WITHOUT_PLACE = ("copied", "outside_exact", "frechet")  # of a set, or told by another score
RANKING = ("clip_score_official", "clip_score_fixed", SIMILARITY, "quality")
"""What tells the worst cases from the best, the first that there is."""

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By row, by case: a row of SCORES."""


@dataclass(frozen=True)
class Extremes:
    """The worst and the best cases of a row, the most extreme first, and how many it has without a picture."""

    worst: tuple[str, ...]
    best: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """The cases to show.

    Args:
        cases: in the order of the bench.
        reasons: by case, why it was chosen; none: by its seed.
        extremes: by row.
    """

    cases: tuple[str, ...]
    reasons: Mapping[str, tuple[str, ...]]
    extremes: Mapping[str, Extremes]


def ranking_metric(summary: Summary) -> Metric | None:
    """Choose the metric by which a row's cases are ranked; None: there is none with a direction."""
    measured = [
        metric
        for metric in summary.metrics
        if metric.key not in WITHOUT_PLACE
        and metric.better != "neither"
        and any(has_value(row, metric.key) for row in summary.rows)
    ]
    preferred = [metric for start in RANKING for metric in measured if metric.key.startswith(start)]
    return next(iter([*preferred, *measured]), None)


def find_extremes(cases: Mapping[str, Mapping[str, Any]], metric: Metric | None) -> Extremes:
    """Rank a row's cases by a metric.

    Args:
        cases: rows of SCORES by case; of equal values the first comes first.
    """
    failed = tuple(case for case, row in cases.items() if row["failed"])
    if metric is None:
        return Extremes((), (), failed)
    values = {case: score_of(dict(row), metric.key) for case, row in cases.items() if not row["failed"]}
    scored = [(value, case) for case, value in values.items() if value is not None]
    ascending = [case for _, case in sorted(scored, key=lambda pair: pair[0])]
    descending = [case for _, case in sorted(scored, key=lambda pair: -pair[0])]
    worst, best = (ascending, descending) if metric.better == "higher" else (descending, ascending)
    few = min(EXTREMES, len(scored) // 2)
    return Extremes(tuple(worst[:few]), tuple(best[:few]), failed)


def choose_cases(order: Sequence[str], scores: Scores, metric: Metric | None, *, most: int) -> Choice:
    """Choose at most `most` cases; equal scores give an equal choice.

    Args:
        order: all cases of the bench.
    """
    extremes = {name: find_extremes(cases, metric) for name, cases in scores.items()}
    reasons: dict[str, list[str]] = {}
    enough = most if len(order) <= most else most - most // OTHERS
    for place in range(EXTREMES):  # the rows in turn, so that none takes the others' places
        for name, found in extremes.items():
            for what, cases in (("worst of", found.worst), ("best of", found.best), ("failed:", found.failed)):
                if place < len(cases) and (len(reasons) < enough or cases[place] in reasons):
                    reasons.setdefault(cases[place], []).append(f"{what} {name}")
    rest = [case for case in order if case not in reasons]
    seeded = rng_for(0, "report").permutation(len(rest))[: max(0, most - len(reasons))]
    chosen = {*reasons, *(rest[place] for place in seeded)}
    return Choice(
        tuple(case for case in order if case in chosen), {case: tuple(why) for case, why in reasons.items()}, extremes
    )
