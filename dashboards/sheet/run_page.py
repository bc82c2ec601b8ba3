"""Run page: trainings -> one HTML file: losses in one figure, what they differ in, grids, worst and best samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dashboards.loading import LoadedTraining
from dashboards.sheet.cards import GRID
from dashboards.sheet.curves import draw_curves
from dashboards.sheet.page import Sheet, loss_text, render
from dashboards.sheet.run_cards import DEFAULT_SAMPLES, LOGGED, RunCard, make_run_card, name_runs
from dashboards.training_run import TrainingRun
from pbe.training.config import TrainConfig
from pipeline.pages.svg import COLOURS
from pipeline.storage.redaction import redact

PLACES = ("out", "data", "anonymous")  # shown as facts, or without effect on the training
NOTHING = "\N{EN DASH}"
Table = list[tuple[str, list[str]]]
"""A row each: its name, and its value in each training."""


def make_runs_sheet(
    trainings: Sequence[LoadedTraining],
    *,
    limit: int = DEFAULT_SAMPLES,
    progress: Callable[[int], Any] = lambda trainings: None,
) -> Sheet:
    """Make the page of some trainings: equal input gives equal bytes.

    Args:
        limit: at most that many samples of a training, the worst and the best.
        progress: called with the number of trainings read so far.
    """
    names = name_runs([loaded.run.folder for loaded in trainings])
    cards: list[RunCard] = []
    for loaded, name in zip(trainings, names, strict=True):
        cards.append(make_run_card(loaded, name, limit=limit))
        progress(len(cards))
    runs = [card.run for card in cards]
    html = render(
        "runs.html.jinja",
        cards=cards,
        colours=COLOURS,
        curves=draw_curves([(card.name, card.run.rows) for card in cards]),
        facts=tabulate_facts(runs),
        flags=tabulate_flags([run.config for run in runs]),
        failed=sum(card.failed for card in cards),
        grid=GRID,
    )
    shown = sum(len(card.grids) + len(card.worst) + len(card.best) for card in cards)
    return Sheet(html, shown, sum(card.failed for card in cards))


def tabulate_facts(runs: Sequence[TrainingRun]) -> Table:
    """List how far trainings are, and what on."""
    facts = [_facts(run) for run in runs]
    rows = [(name, [of_run[name] for of_run in facts]) for name in facts[0]]
    return [(name, values) for name, values in rows if set(values) != {NOTHING}]


def tabulate_flags(configs: Sequence[Mapping[str, Any]]) -> Table:
    """List the flags in which trainings differ from each other; of a single one those that are not the default."""
    if len(configs) == 1:
        configs = [*configs, asdict(TrainConfig())]
        return [(name, values[:1]) for name, values in _differing(configs)]
    return _differing(configs)


def _facts(run: TrainingRun) -> dict[str, str]:
    step = run.rows[-1]["step"] if run.rows else 0
    facts = {
        "step": f"{step:,} of {run.config.get('steps', '?')}",
        "newest checkpoint": "none yet" if run.checkpoint is None else f"step {run.checkpoint:,}",
    }
    for column, words in LOGGED.items():
        row = next((row for row in reversed(run.rows) if column in row), None)
        value = NOTHING if row is None else "not finite" if row[column] is None else loss_text(row[column])
        facts[words] = value if row is None else f"{value} at step {row['step']:,}"
    return {
        **facts,
        "dataset": redact(str(run.config.get("data", "not recorded"))),
        "processes": str(run.record.get("world", "not recorded")),
        "commit": str(run.record.get("commit", "not recorded"))[:12],
    }


def _differing(configs: Sequence[Mapping[str, Any]]) -> Table:
    names = sorted({name for config in configs for name in config} - set(PLACES))
    rows = ((f"--{name.replace('_', '-')}", [_value(config, name) for config in configs]) for name in names)
    return [(flag, values) for flag, values in rows if len(set(values)) > 1]


def _value(config: Mapping[str, Any], name: str) -> str:
    """Write a flag's value; records of other versions may lack it."""
    if name not in config:
        return "no such flag"
    value = config[name]
    if isinstance(value, bool):
        return "on" if value else "off"
    words = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return redact(words) or NOTHING
