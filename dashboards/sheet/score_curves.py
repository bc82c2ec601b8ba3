"""Score curves: the scores of a training's sample grids -> a figure a metric, with a curve for each guidance scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dashboards.sheet.curves import Kind, Quantity, draw_curves
from pipeline.storage.redaction import redact
from schemas.grid_scores import SCORED_BY, SIMILARITY, GridScores

KINDS = {"mean": Kind("mean over the samples", 1.8)}


@dataclass(frozen=True)
class ScoreCurves:
    """One metric's figure, and what it is called."""

    title: str
    figure: Markup


def draw_scores(records: Sequence[GridScores]) -> list[ScoreCurves]:
    """Draw the metrics that have a score at any step.

    Args:
        records: by step, ascending.
    """
    figures = []
    for metric, words in SCORED_BY.items():
        rows: dict[str, list[dict[str, object]]] = {}
        for record in records:
            for name, score in record.scores.get(metric, {}).items():
                rows.setdefault(name, []).append({"step": record.step, "mean": score.mean})
        if any(row["mean"] is not None for column in rows.values() for row in column):
            title = f"{words} ({redact(str(records[-1].tower))})" if metric == SIMILARITY else words
            quantity = Quantity("score", words, KINDS, "without one", orders=False)
            figures.append(ScoreCurves(title[:1].upper() + title[1:], draw_curves(list(rows.items()), quantity)))
    return figures
