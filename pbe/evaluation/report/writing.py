"""Writing: an evaluation's folder -> report.html, table.md and table.tex beside what they were made from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pbe.evaluation.bench.recorded import RecordedCase, read_recorded
from pbe.evaluation.report.cards import GIVEN, make_cards
from pbe.evaluation.report.choosing import (
    MOST_CASES,
    MOST_PICTURES,
    WITHOUT_PLACE,
    Scores,
    choose_cases,
    ranking_metric,
)
from pbe.evaluation.report.page import MOST_BYTES, PICTURES_SHARE, make_page
from pbe.evaluation.report.tables import has_value
from pbe.evaluation.report.text_tables import write_latex, write_markdown
from pbe.evaluation.summary import Metric, Summary, read_summary
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.scores import BENCH, REPORT, SCORES_TABLE, SUMMARY, TABLE_MD, TABLE_TEX, as_scores


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        cases: of the bench; `shown` of them are on the page.
        html_bytes: the page's size.
        notes: what could not be read, a line each.
    """

    cases: int
    shown: int
    html_bytes: int
    notes: tuple[str, ...]


def write_report(folder: Folder, *, progress: Callable[[int], Any] = lambda cases: None) -> Written:
    """Write an evaluation's report and tables; equal evaluations give equal bytes.

    Args:
        folder: with summary.json, scores.parquet, bench.parquet and pictures.
        progress: called with the number of cases read so far.

    Raises:
        InputError: summary or scores are missing or damaged.
    """
    summary = read_summary(_read(folder, SUMMARY), folder.path(SUMMARY))
    scores = read_scores(_read(folder, SCORES_TABLE), folder.path(SCORES_TABLE))
    bench, notes = _read_bench(folder)
    order = list(bench) or list(dict.fromkeys(case for cases in scores.values() for case in cases))
    ranked, metrics = ranking_metric(summary), shown_metrics(summary)
    most = max(1, min(MOST_CASES, MOST_PICTURES // (len(scores) + len(GIVEN))))
    choice = choose_cases(order, scores, ranked, most=most)
    budget = int(PICTURES_SHARE * MOST_BYTES)
    cards = []
    for card in make_cards(folder, choice, bench, scores, metrics=metrics, most_bytes=budget):
        cards.append(card)
        progress(len(cards))
    page = make_page(summary, scores, choice, cards, metrics=metrics, ranked=ranked, notes=notes)
    folder.write(TABLE_MD, write_markdown(summary))
    folder.write(TABLE_TEX, write_latex(summary))
    folder.write(REPORT, page.html)
    return Written(summary.bench.cases, page.shown, len(page.html), notes)


def read_scores(content: bytes, place: str) -> Scores:
    """Read the scores of an evaluation, by row and case.

    Args:
        place: names it in errors.

    Raises:
        InputError: it is damaged, or not such a table.
    """
    try:
        table = as_scores(table_from(content))
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{place}: is not the scores of an evaluation ({error}); run pbe.evaluate again") from error
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for row in table.to_pylist():
        scores.setdefault(row["row"], {})[row["case"]] = row
    return scores


def shown_metrics(summary: Summary) -> list[Metric]:
    """List the metrics whose scores stand below each picture: those of a case that have a value."""
    rows = [row for row in summary.rows if not row.unavailable]
    return [
        metric
        for metric in summary.metrics
        if metric.key not in WITHOUT_PLACE and any(has_value(row, metric.key) for row in rows)
    ]


def _read(folder: Folder, name: str) -> bytes:
    content = folder.read_if_there(name)
    if content is None:
        raise InputError(f"{folder.url}: holds no {name}; give a folder that pbe.evaluate finished")
    return content


def _read_bench(folder: Folder) -> tuple[dict[str, RecordedCase], tuple[str, ...]]:
    """Read the recorded cases by name; without them the page shows no inputs, and says so."""
    content = folder.read_if_there(BENCH)
    if content is None:
        return {}, (f"{BENCH} is missing: sources, exemplars and masks are not shown.",)
    try:
        return {each.case.name: each for each in read_recorded(content, BENCH)}, ()
    except InputError as error:
        return {}, (f"Sources, exemplars and masks are not shown: {error}",)
