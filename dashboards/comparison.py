"""Comparison: a folder that `pbe.evaluate` wrote -> its cases, the worst first, with every row's picture and scores."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pbe.evaluation.bench.recorded import RecordedCase, read_recorded
from pbe.evaluation.report.choosing import WITHOUT_PLACE, ranking_metric
from pbe.evaluation.report.tables import has_value, is_control
from pbe.evaluation.summary import Metric, Summary, read_summary
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.scores import BENCH, SCORES, SCORES_TABLE, SIMILARITY, SUMMARY, as_scores, score_of

OF_A_SET = "frechet"
NAMED = 5  # cases in one line of a note

ScoreRow = Mapping[str, Any]


@dataclass(frozen=True)
class ComparedCase:
    """One case, and what each row of the table made of it.

    Args:
        scores: by row, a row of SCORES.
    """

    recorded: RecordedCase
    scores: Mapping[str, ScoreRow]

    @property
    def name(self) -> str:
        return self.recorded.case.name

    def value(self, row: str, metric: Metric) -> float | None:
        """Return a row's score; None: it has none."""
        return score_of(dict(self.scores[row]), metric.key) if row in self.scores else None


@dataclass(frozen=True)
class Comparison:
    """An evaluation.

    Args:
        cases: the worst first, by `order`.
        rows: of the table, those that ran.
        first: the row to look at first, by which cases are sorted: the first that is no control.
        order: the metric and the row by which cases are sorted; empty: by name, as nothing tells worse from better.
        notes: what is missing, a line each.
    """

    folder: Folder
    summary: Summary
    cases: tuple[ComparedCase, ...]
    rows: tuple[str, ...]
    first: str
    order: str
    notes: tuple[str, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that cases have values of."""
        return tuple(metric for metric in self.summary.metrics if metric.key != OF_A_SET and not metric.unavailable)


def read_comparison(folder: Folder) -> Comparison:
    """Read what an evaluation found; no picture is opened.

    Raises:
        InputError: it has not ended yet, or a file of it is damaged.
    """
    files = {name: folder.read_if_there(name) for name in (SUMMARY, SCORES_TABLE, BENCH)}
    for name, content in files.items():
        if content is None:
            raise InputError(f"{folder.url}: has no {name} yet; run the same pbe.evaluate command again to end it")
    summary = _read_summary(files[SUMMARY] or b"", f"{folder.url}/{SUMMARY}")
    scores = _read_scores(files[SCORES_TABLE] or b"", f"{folder.url}/{SCORES_TABLE}")
    recorded = read_recorded(files[BENCH] or b"", f"{folder.url}/{BENCH}")
    _refuse_odd([each.case.name for each in recorded], f"{folder.url}/{BENCH}")
    by_case: dict[str, dict[str, ScoreRow]] = {}
    for score in scores:
        by_case.setdefault(score["case"], {})[score["row"]] = score
    cases = [ComparedCase(each, by_case.get(each.case.name, {})) for each in recorded]
    ran = [row for row in summary.rows if not row.unavailable]
    rows = tuple(row.name for row in ran)
    metric = ranking_metric(summary)
    leading = [row for row in ran if metric is None or has_value(row, metric.key)] or ran
    first = next((row.name for row in leading if not is_control(row)), leading[0].name if leading else "")
    ordered = worst_first(cases, metric, first) if metric else sorted(cases, key=lambda case: case.name)
    order = f"{metric.title} of {first}" if metric else ""
    return Comparison(folder, summary, tuple(ordered), rows, first, order, tuple(_notes(cases, rows, scores)))


def worst_first(cases: Sequence[ComparedCase], metric: Metric, row: str) -> list[ComparedCase]:
    """Sort cases by a row's value of a metric; those without one come last."""

    def place(case: ComparedCase) -> tuple[bool, float, str]:
        value = case.value(row, metric)
        return value is None, (value or 0.0) * (1 if metric.better == "higher" else -1), case.name

    return sorted(cases, key=place)


def sorted_by(comparison: Comparison) -> list[Metric]:
    """List the metrics that have a worse and a better, and tell cases of a row apart."""
    ranking = [m for m in comparison.metrics if m.key not in WITHOUT_PLACE and m.better != "neither"]
    return [metric for metric in ranking if any(_differ(comparison, row, metric) for row in comparison.rows)]


def _differ(comparison: Comparison, row: str, metric: Metric) -> bool:
    values = {case.value(row, metric) for case in comparison.cases}
    return len(values - {None}) > 1


def fields_of(metrics: Sequence[Metric]) -> dict[str, str]:
    """Name the field of each metric, by its key: `similarity:DINO ViT-S/16` gives `similarity_dino_vit_s_16`."""
    fields: dict[str, str] = {}
    for metric in metrics:
        plain = name = re.sub(r"[^a-z0-9]+", "_", metric.key.lower()).strip("_")
        number = 1
        while name in fields.values():
            number += 1
            name = f"{plain}_{number}"
        fields[metric.key] = name
    return fields


def _notes(cases: Sequence[ComparedCase], rows: Sequence[str], scores: Sequence[ScoreRow]) -> Iterator[str]:
    again = "run the same pbe.evaluate command again"
    lacking = [case.name for case in cases if any(row not in case.scores for row in rows)]
    if lacking:
        yield f"{len(lacking):,} cases lack scores of some rows ({_few(lacking)}); {again}"
    known = {case.name for case in cases}
    strays = [f"{score['case']} of {score['row']}" for score in scores if not _is_known(score, known, rows)]
    if strays:
        yield f"{len(strays):,} scores belong to no case or row of this evaluation ({_few(strays)}); {again}"


def _is_known(score: ScoreRow, cases: set[str], rows: Sequence[str]) -> bool:
    return score["case"] in cases and score["row"] in rows


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")


def _read_summary(content: bytes, place: str) -> Summary:
    """Read a summary whose metrics are columns of the scores.

    Raises:
        InputError: it is damaged, or of another version.
    """
    summary = read_summary(content, place)
    for key in (metric.key for metric in summary.metrics):
        if key not in (OF_A_SET, *_VALUES) and not key.startswith(SIMILARITY):
            raise InputError(f"{place}: {SCORES_TABLE} has no metric {key!r}; run pbe.evaluate again")
    return summary


_VALUES = [field.name for field in SCORES if field.name != "guidance" and (field.type in (pa.float64(), pa.bool_()))]


def _read_scores(content: bytes, place: str) -> list[ScoreRow]:
    try:
        rows: list[ScoreRow] = as_scores(table_from(content)).to_pylist()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{place}: is not a table of scores ({error}); run pbe.evaluate again") from error
    for row in rows:
        values = [*(row[name] for name in _VALUES), *(value for _, value in row["similarity"] or ())]
        if None in (row["case"], row["row"]) or not all(math.isfinite(value) for value in values if value is not None):
            raise InputError(f"{place}: {row['case']} of {row['row']} is not a score; run pbe.evaluate again")
    return rows


def _refuse_odd(names: Sequence[str], place: str) -> None:
    if not names:
        raise InputError(f"{place}: holds no cases; run pbe.evaluate again")
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise InputError(f"{place}: holds {_few(twins)} twice; run pbe.evaluate again")
