"""Evidence: a model and unseen photos -> by guidance, what it paints against what the controls would score.

    python -m examples.small_model.evidence --data DATASET --out DIR [--flags]

`pbe.evaluate` compares the model with the same model given another case's exemplar, with the exemplar pasted, and with
the source as it is. This lays its numbers out by guidance. The exemplar similarity is that of EfficientNet-Lite2, which
the model is not conditioned by.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import tyro

from pbe.evaluation.report.numbers import NOTHING, heading, interval_text, signed_text, value_text
from pbe.evaluation.summary import Difference, Metric, Row, Summary, read_summary
from pipeline.command import guard
from pipeline.encoders.names import SHIPPED
from pipeline.errors import InputError
from pipeline.storage.writable import local_output
from schemas.scores import SIMILARITY, SUMMARY

OURS, RANDOM = "ours", "random-exemplar"
ENCODER, ENCODER_NAME = "efficientnet-lite2", "EfficientNet-Lite2"
METRICS = (f"{SIMILARITY}{ENCODER_NAME}", "exemplar_colour", "copy_paste", "copied", "seam")
COMPARED = METRICS[:2]  # of ours and the random exemplar
PLACE = "compared"  # of the evaluation in OUT
TABLES = "evidence.md"
DECODED, BLENDED, BLENDED_SEAM = "crop", "hole", "Seam, blended"


@dataclass(frozen=True)
class EvidenceConfig:
    """Compare a model with controls at several guidance scales, on photos it was not trained on."""

    data: str
    """A dataset of unseen photos with their sources (--keep-source); cases are cut from its validation split."""
    out: str
    """The folder for pictures, scores, report and evidence.md. Run again, the command goes on."""
    model: str = SHIPPED
    """A training's folder or an exported model, with its encoders; `shipped`: the small model of this package."""
    guidance: str = "1,2,3,4,5,6,7"
    """Guidance scales, separated by commas."""
    limit: int = 200
    """Cases, a seeded choice. 0: all."""
    steps: int = 25
    """Denoising steps."""
    scheduler: Literal["pndm", "ddim", "dpmpp"] = "ddim"
    """How the model is sampled."""


def main(arguments: list[str]) -> int:
    """Compare as the command line says; return the exit code."""
    return guard(
        lambda: gather_evidence(
            tyro.cli(EvidenceConfig, args=arguments, prog="python -m examples.small_model.evidence")
        ),
        go_on="finished parts are kept: run the same command again to go on",
    )


def gather_evidence(config: EvidenceConfig) -> int:
    """Compare, write evidence.md and print it; return the exit code.

    Raises:
        InputError: the model cannot be opened; or see `pbe.evaluation.running.run.compare`.
    """
    from pbe.evaluate import main as evaluate

    out = local_output("--out", config.out)
    status = evaluate(evaluate_arguments(config))
    if status:
        return status
    summary = read_summary((out / PLACE / SUMMARY).read_bytes(), str(out / PLACE / SUMMARY))
    refuse_without_model(summary, config.model)
    tables = tables_of(summary)
    (out / TABLES).write_text(tables)
    print(tables)
    return 0


def refuse_without_model(summary: Summary, model: str) -> None:
    """Refuse a comparison that the model itself is not in.

    Raises:
        InputError: with the reason why it did not run.
    """
    for row in summary.rows:
        if row.unavailable and row.method in (OURS, RANDOM):
            raise InputError(f"--model {model}: {row.unavailable}")


def evaluate_arguments(config: EvidenceConfig) -> list[str]:
    """Write the arguments of `python -m pbe.evaluate`."""
    methods = [f"pbe@{OURS}={config.model}", f"{RANDOM}={config.model}", "copy-paste", "identity"]
    flags = {
        "bench-from": config.data,
        "features": ENCODER,
        "guidance": config.guidance,
        "limit": config.limit,
        "steps": config.steps,
        "scheduler": config.scheduler,
        "out": f"{config.out}/{PLACE}",
    }
    return [*methods, *(part for name, value in flags.items() for part in (f"--{name}", str(value)))]


def tables_of(summary: Summary) -> str:
    """Write what every row scores, and the differences of ours and the random exemplar at each guidance scale."""
    metrics = [metric for key in METRICS for metric in summary.metrics if metric.key == key and not metric.unavailable]
    rows = [row for row in summary.rows if not row.unavailable and row.variant in ("", DECODED)]
    compared = [metric for metric in metrics if metric.key in COMPARED]
    lines = [
        f"{summary.bench.cases:,} cases of {summary.bench.name}; means with 95 % intervals over cases. What a model "
        "paints is scored as decoded; the last column is the seam as `pbe.edit` blends it.",
        "",
        *_markdown(
            ["", *map(heading, metrics), BLENDED_SEAM],
            [
                [name_of(row), *(_cell(row, metric.key) for metric in metrics), _blended_seam(row, summary)]
                for row in rows
            ],
        ),
        "",
        f"{OURS} - {RANDOM}, paired by case, with 95 % intervals:",
        "",
        *_markdown(["guidance", *map(heading, compared)], list(_differences(rows, compared, summary))),
    ]
    return "\n".join(lines) + "\n"


def name_of(row: Row) -> str:
    """Name a row by its method and guidance scale."""
    return row.method if row.guidance is None else f"{row.method}, g = {row.guidance:g}"


def _cell(row: Row, key: str) -> str:
    mean = row.means.get(key)
    return NOTHING if mean is None else f"{value_text(key, mean.value)} {interval_text(key, mean)}".strip()


def _blended_seam(row: Row, summary: Summary) -> str:
    """Write the seam of the same pictures as an edit blends them; a control's is the only one it has."""
    twins = [other for other in summary.rows if (other.method, other.guidance) == (row.method, row.guidance)]
    blended = [other for other in twins if other.variant == BLENDED]
    return _cell(blended[0], "seam") if blended else ""


def _differences(rows: Sequence[Row], metrics: Sequence[Metric], summary: Summary) -> Iterator[list[str]]:
    found = {(each.metric, each.first, each.second): each for each in summary.differences}
    others = {row.guidance: row.name for row in rows if row.method == RANDOM}
    for row in rows:
        if row.method == OURS and row.guidance in others:
            pairs = [found.get((metric.key, row.name, others[row.guidance])) for metric in metrics]
            yield [f"{row.guidance:g}", *map(_difference_text, pairs)]


def _difference_text(difference: Difference | None) -> str:
    if difference is None:
        return NOTHING
    key, mean = difference.metric, difference.mean
    return f"{signed_text(key, mean.value)} {interval_text(key, mean)}".strip()


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *rows)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
