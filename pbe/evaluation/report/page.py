"""Page: tables, charts and cards -> report.html, one file that asks for nothing outside itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbe.evaluation.report.cards import CaseCard
from pbe.evaluation.report.charts import draw_bars, draw_copying, draw_guidance
from pbe.evaluation.report.choosing import Choice, Extremes, Scores
from pbe.evaluation.report.differences import MOST_ROWS, SIGNIFICANT, tabulate_differences
from pbe.evaluation.report.numbers import INTERVALS, heading
from pbe.evaluation.report.reported import COLUMNS, tabulate_reported
from pbe.evaluation.report.tables import tabulate
from pbe.evaluation.summary import Metric, Summary
from pipeline.pages.rendering import render

TEMPLATES = Path(__file__).parent / "templates"
MOST_BYTES = 8 * 2**20
PICTURES_SHARE = 0.75  # of the page


@dataclass(frozen=True)
class Page:
    """A finished page, and how many of the bench's cases it shows."""

    html: bytes
    shown: int


def make_page(
    summary: Summary,
    scores: Scores,
    choice: Choice,
    cards: Sequence[CaseCard],
    *,
    metrics: Sequence[Metric],
    ranked: Metric | None,
    notes: Sequence[str],
    most_bytes: int = MOST_BYTES,
) -> Page:
    """Make the page, with fewer cases where it would have more than `most_bytes`.

    Args:
        metrics: whose scores the cards have, in this order.
        ranked: the metric that told the worst from the best.
        notes: what of the evaluation could not be read.
    """
    rows = [row.name for row in summary.rows if row.name in scores]
    values: dict[str, Any] = {
        "summary": summary,
        "table": tabulate(summary),
        "reported": tabulate_reported(summary),
        "papers": tuple(COLUMNS.values()),
        "bars": draw_bars(summary),
        "matrices": tabulate_differences(summary),
        "compared": MOST_ROWS,
        "significant": SIGNIFICANT,
        "intervals": INTERVALS,
        "guidance": draw_guidance(summary),
        "copying": draw_copying(summary),
        "rows": rows,
        "titles": [metric.title for metric in metrics],
        "headings": [heading(metric) for metric in metrics],
        "ranked": ranked,
        "ranked_place": next((place for place, metric in enumerate(metrics) if metric == ranked), 0),
        "notes": notes,
    }
    shown = list(cards)
    while True:
        html = render(TEMPLATES, "report.html.jinja", {**values, **_of_cards(choice, shown)}, filters={})
        if len(html) <= most_bytes or not shown:
            return Page(html, len(shown))
        shown = _fewer(shown)


def _fewer(cards: Sequence[CaseCard]) -> list[CaseCard]:
    """Leave out every other card, of those without a reason first."""
    dispensable = [card for card in cards if not card.reasons] or list(cards)
    dropped = {card.name for card in dispensable[::2]}
    return [card for card in cards if card.name not in dropped]


def _of_cards(choice: Choice, cards: Sequence[CaseCard]) -> dict[str, Any]:
    """Gather what the page says of its cards."""
    numbers = {card.name: number for number, card in enumerate(cards, start=1)}
    labels = sorted({card.label for card in cards if card.label})
    extremes = {name: _shown_extremes(found, numbers) for name, found in choice.extremes.items()}
    return {
        "cards": cards,
        "numbers": numbers,
        "by_name": {card.name: card for card in cards},
        "labels": [(label, sum(card.label == label for card in cards)) for label in labels],
        "extremes": {name: found for name, found in extremes.items() if found.worst or found.best},
        "missing": _missing(cards),
        "with_failures": sum(card.failed for card in cards),
    }


def _shown_extremes(found: Extremes, numbers: Mapping[str, int]) -> Extremes:
    lists = (found.worst, found.best, found.failed)
    return Extremes(*(tuple(case for case in cases if case in numbers) for cases in lists))


def _missing(cards: Sequence[CaseCard]) -> int:
    """Count the pictures that a row has made, but which cannot be shown."""
    return sum(bool(shown.problem) for card in cards for shown in card.rows.values())
