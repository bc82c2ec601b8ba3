"""Comparison: a folder that `pbe.evaluate` wrote -> its cases, the worst first, with every row's picture and scores."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pbe.evaluation.bench.recorded import RecordedCase, read_recorded
from pbe.evaluation.summary import Metric, Summary, read_summary
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.scores import BENCH, SCORES, SCORES_TABLE, SUMMARY, score_of

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


@dataclass(frozen=True)
class Comparison:
    """An evaluation.

    Args:
        cases: the worst first, by `order`.
        rows: of the table, those that ran.
        order: the metric, and the row, by which cases are sorted; empty: by name.
        notes: what could not be shown, a line each.
    """

    folder: Folder
    summary: Summary
    cases: tuple[ComparedCase, ...]
    rows: tuple[str, ...]
    order: str
    notes: tuple[str, ...]


def read_comparison(folder: Folder) -> Comparison:
    """Read what an evaluation found; no picture is opened.

    Raises:
        InputError: it has not ended yet, or a file of it is damaged.
    """
    files = {name: folder.read_if_there(name) for name in (SUMMARY, SCORES_TABLE, BENCH)}
    for name, content in files.items():
        if content is None:
            raise InputError(f"{folder.url}: has no {name} yet; run the same pbe.evaluate command again to end it")
    summary = read_summary(files[SUMMARY] or b"", f"{folder.url}/{SUMMARY}")
    scores = _read_scores(files[SCORES_TABLE] or b"", f"{folder.url}/{SCORES_TABLE}")
    by_case: dict[str, dict[str, ScoreRow]] = {}
    for score in scores:
        by_case.setdefault(score["case"], {})[score["row"]] = score
    recorded = read_recorded(files[BENCH] or b"", f"{folder.url}/{BENCH}")
    cases = [ComparedCase(each, by_case.get(each.case.name, {})) for each in recorded]
    notes = [
        f"{case.name}: has no scores; run the same pbe.evaluate command again" for case in cases if not case.scores
    ]
    rows = tuple(row.name for row in summary.rows if not row.unavailable)
    metric, row = _order(summary, cases, rows)
    ordered = worst_first(cases, metric, row) if metric else sorted(cases, key=lambda case: case.name)
    return Comparison(folder, summary, tuple(ordered), rows, f"{metric.title} of {row}" if metric else "", tuple(notes))


def worst_first(cases: Sequence[ComparedCase], metric: Metric, row: str) -> list[ComparedCase]:
    """Sort cases by a row's value of a metric; those without one come last."""

    def place(case: ComparedCase) -> tuple[bool, float, str]:
        value = score_of(dict(case.scores[row]), metric.key) if row in case.scores else None
        better = 1 if metric.better == "higher" else -1
        return value is None, (value or 0.0) * better, case.name

    return sorted(cases, key=place)


def sorted_by(summary: Summary) -> list[Metric]:
    """List the metrics that cases can be sorted by: those that have a worse and a better."""
    return [metric for metric in summary.metrics if metric.key in SORTABLE or metric.key.startswith("similarity:")]


SORTABLE = ("clip_score_fixed", "clip_score_official", "quality", "copy_paste", "outside_colour", "seam")


def field_of(metric: Metric) -> str:
    """Name a metric's field: `similarity:DINO ViT-S/16` becomes `similarity_dino_vit_s_16`."""
    return re.sub(r"[^a-z0-9]+", "_", metric.key.lower()).strip("_")


def _order(summary: Summary, cases: Sequence[ComparedCase], rows: Sequence[str]) -> tuple[Metric | None, str]:
    """Choose what cases are sorted by: the first metric and row of the table that have values."""
    for metric in sorted_by(summary):
        for row in rows:
            values = (score_of(dict(case.scores[row]), metric.key) for case in cases if row in case.scores)
            if len({value for value in values if value is not None}) > 1:
                return metric, row
    return None, ""


def _read_scores(content: bytes, place: str) -> list[ScoreRow]:
    try:
        rows: list[ScoreRow] = pq.read_table(io.BytesIO(content)).select(SCORES.names).cast(SCORES).to_pylist()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{place}: is not a table of scores ({error}); run pbe.evaluate again") from error
    return rows
