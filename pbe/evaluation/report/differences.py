"""Differences: paired differences -> a matrix for each metric, rows against rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from pbe.evaluation.report.numbers import interval_text, signed_text
from pbe.evaluation.summary import Better, Difference, Mean, Summary

SIGNIFICANT = 0.05  # of the corrected p
MOST_ROWS = 30  # of a matrix: more could not be read
BETTER, WORSE = "better", "worse"


@dataclass(frozen=True)
class Compared:
    """A row against another.

    Args:
        verdict: better or worse, where significant and the metric has a direction; `differs` where it has none.
        words: all that is known of it.
    """

    text: str
    verdict: str
    words: str


@dataclass(frozen=True)
class Matrix:
    """A metric's differences, line - column; None: not compared, as a row with itself.

    Args:
        names: of the first MOST_ROWS rows.
        rows: how many have been compared.
    """

    title: str
    names: tuple[str, ...]
    rows: int
    lines: tuple[tuple[Compared | None, ...], ...]


def tabulate_differences(summary: Summary) -> list[Matrix]:
    """Lay out the differences of each metric that has some, in the order of rows and metrics."""
    matrices = []
    for metric in summary.metrics:
        found = {(each.first, each.second): each for each in summary.differences if each.metric == metric.key}
        named = {name for pair in found for name in pair}
        names = tuple(row.name for row in summary.rows if row.name in named)[:MOST_ROWS]
        if found:
            lines = tuple(tuple(_compare(found, metric.better, line, other) for other in names) for line in names)
            matrices.append(Matrix(metric.title, names, len(named), lines))
    return matrices


def _compare(found: Mapping[tuple[str, str], Difference], better: Better, line: str, other: str) -> Compared | None:
    if (line, other) in found:
        difference = found[line, other]
        mean = difference.mean
    elif (other, line) in found:
        difference = found[other, line]
        mean = _negative(difference.mean)
    else:
        return None
    key, interval = difference.metric, interval_text(difference.metric, mean)
    words = f"{line} - {other}: {signed_text(key, mean.value)} {interval}, n {mean.n:,}"
    words = f"{words}, p {difference.p:.2g}, corrected {difference.p_holm:.2g}"
    return Compared(signed_text(key, mean.value), _verdict(mean.value, difference.p_holm, better), words)


def _verdict(value: float, p: float, better: Better) -> str:
    if p >= SIGNIFICANT or value == 0:
        return ""
    if better == "neither":
        return "differs"
    return BETTER if (value > 0) == (better == "higher") else WORSE


def _negative(mean: Mean) -> Mean:
    low, high = (None if side is None else -side for side in (mean.high, mean.low))
    return Mean(-mean.value, low, high, mean.n)
