"""Reported: what papers say of themselves and of others -> a table of its own, beside ours where both are of one kind.

A number of a paper stands beside one of ours only where bench, number of cases and metric are the paper's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pbe.evaluation.report.numbers import NOTHING, value_text
from pbe.evaluation.summary import Metric, Row, Summary

COCOEE, COCOEE_CASES = "cocoee", 3500
PAPER, LATER = "the paper", "later work"
COLUMNS = {"frechet": "FID", "quality": "QS", "clip_score_official": "CLIP score"}
"""The paper's three metrics: the key of ours, and the title that ours has only where it is the paper's."""


@dataclass(frozen=True)
class Reported:
    """A line of a paper: FID (lower is better), QS and CLIP score (higher); None: it gives none."""

    name: str
    where: str
    frechet: float | None
    quality: float | None
    clip_score_official: float | None = None


REPORTED = (
    Reported("Blended Diffusion (text)", PAPER, 7.52, 55.89, 72.62),
    Reported("Blended Diffusion (image)", PAPER, 4.60, 67.14, 80.65),
    Reported("DCCF", PAPER, 3.78, 71.49, 82.18),
    Reported("Stable Diffusion", PAPER, 3.66, 73.20, 75.33),
    Reported("Paint by Example", PAPER, 3.18, 77.80, 84.97),
    Reported("ablation: naive baseline", PAPER, 3.61, 76.71, 85.90),
    Reported("ablation: + prior", PAPER, 3.40, 77.63, 88.79),
    Reported("ablation: + augmentation", PAPER, 3.44, 76.86, 81.68),
    Reported("ablation: + bottleneck", PAPER, 3.26, 76.62, 81.41),
    Reported("ablation: + classifier-free guidance", PAPER, 3.18, 77.80, 84.97),
    Reported("ObjectStitch", LATER, 3.35, 76.86),
    Reported("AnyDoor", LATER, 3.60, 76.18),
    Reported("ControlCom", LATER, 3.19, 77.84),
)


@dataclass(frozen=True)
class ReportedLine:
    """A line of the table: `where` the numbers are from, and one text for each of COLUMNS."""

    name: str
    where: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class ReportedTable:
    """Others' numbers, and those of ours that may stand beside them.

    Args:
        notes: why ours stand not, or not all, beside them.
    """

    lines: tuple[ReportedLine, ...]
    notes: tuple[str, ...]


def tabulate_reported(summary: Summary) -> ReportedTable:
    """List what papers report, and below it our rows in those of its metrics that are the same."""
    own = {metric.key: metric for metric in summary.metrics if _is_papers(metric)}
    reason = _other_bench(summary)
    lines = [
        ReportedLine(
            each.name, f"reported by {each.where}", tuple(value_text(key, getattr(each, key)) for key in COLUMNS)
        )
        for each in REPORTED
    ]
    if not reason:
        lines += [_own_line(row, own) for row in summary.rows if any(_value(row, key) is not None for key in own)]
    missing = [title for key, title in COLUMNS.items() if key not in own]
    notes = [reason] if reason else [f"Ours has no {title} as the paper defines it." for title in missing]
    if not reason and "frechet" in own:
        notes.append("The paper's real pictures are COCO test2017, resized and cropped to 512 px; ours are of --real.")
    return ReportedTable(tuple(lines), tuple(notes))


def _is_papers(metric: Metric) -> bool:
    """Whether a metric is the paper's: the column of CLIP scores holds nothing else, of the others the title tells."""
    if metric.unavailable or metric.key not in COLUMNS:
        return False
    named = metric.title.partition(" (")[0] if metric.key == "frechet" else metric.title  # FID (encoder)
    return metric.key == "clip_score_official" or named == COLUMNS[metric.key]


def _other_bench(summary: Summary) -> str:
    bench = summary.bench
    if bench.kind != COCOEE:
        return f"Reported on COCOEE; ours are of {bench.name}, another bench: not comparable."
    if bench.cases != COCOEE_CASES:
        return f"Reported on all {COCOEE_CASES:,} cases of COCOEE; ours are of {bench.cases:,}: not comparable."
    return ""


def _own_line(row: Row, own: Mapping[str, Metric]) -> ReportedLine:
    cells = tuple(value_text(key, _value(row, key)) if key in own else NOTHING for key in COLUMNS)
    failed = f", {row.failed:,} of {row.cases:,} cases failed" if row.failed else ""
    return ReportedLine(row.name, f"measured here{failed}", cells)


def _value(row: Row, key: str) -> float | None:
    if key == "frechet":
        return row.frechet.value if row.frechet else None
    return row.means[key].value if key in row.means else None
