"""Run cards: a training -> what the page shows of it: sample grids and their scores, its worst and best samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dashboards.loading import LoadedTraining
from dashboards.sheet.cards import Card, make_cards
from dashboards.sheet.page import loss_text
from dashboards.sheet.score_curves import ScoreCurves, draw_scores
from dashboards.training_run import LOSSES, TrainingRun, read_scores
from pbe.editing.inputs import read_picture
from pipeline.errors import InputError
from pipeline.pages.thumbnails import ShownPicture, show_picture

MOST_GRIDS = 12
GRID_PX = 1000
DEFAULT_SAMPLES = 24  # the worst and the best
NAMED = 10  # steps or samples of a list in words
LOGGED = {"loss": "training loss", "validation_loss": "validation loss", "validation_loss_ema": "EMA validation loss"}
PARTS = {"whole": "loss", "inside": "loss_inside", "outside": "loss_outside"}


@dataclass(frozen=True)
class Grid:
    """A sample grid, and what the log says of its step, in words."""

    step: int
    picture: ShownPicture
    losses: str


@dataclass(frozen=True)
class SampleLosses:
    """A validation sample and its losses.

    Args:
        rows: the part of the latent, and its loss with the raw and with the averaged weights, as text.
        card: None where its dataset is gone.
    """

    key: str
    timestep: int | None
    rows: tuple[tuple[str, str, str], ...]
    card: Card | None


@dataclass(frozen=True)
class RunCard:
    """A training as the page shows it.

    Args:
        name: its folder's, longer where others have the same.
        grids: the newest first; all of them, or a choice of `grid_count`.
        scores: of the grids, a figure a metric.
        step: of its newest validation.
        worst: samples with the largest losses, largest first; those that are not finite before all others.
        best: the smallest first; empty where `worst` holds all.
        samples: how many there are losses of.
        averaged: whether there are losses with the moving average of the weights.
        warnings: what is not finite, not there, or not as it was.
    """

    name: str
    run: TrainingRun
    grids: tuple[Grid, ...]
    grid_count: int
    scores: tuple[ScoreCurves, ...]
    step: int
    worst: tuple[SampleLosses, ...]
    best: tuple[SampleLosses, ...]
    samples: int
    averaged: bool
    warnings: tuple[str, ...]

    @property
    def failed(self) -> int:
        """How many of its pictures cannot be shown."""
        gone = [sample.card.pictures is None for sample in (*self.worst, *self.best) if sample.card]
        return sum(bool(grid.picture.problem) for grid in self.grids) + sum(gone)


def make_run_card(loaded: LoadedTraining, name: str, *, limit: int = DEFAULT_SAMPLES) -> RunCard:
    """Read a training's grids and its worst and best samples, and make its card."""
    run, losses = loaded.run, loaded.losses
    if loaded.validation:
        rows = {row["key"]: row for row in loaded.validation.table.to_pylist()}
        losses = {key: fields for key, fields in losses.items() if key in rows}
    worst, best = choose_extremes(losses, limit)
    cards: dict[str, Card] = {}
    if loaded.validation:
        made = make_cards([rows[key] for key in (*worst, *best)], loaded.validation.reader)
        cards = {card.row["key"]: card for card in made}
    samples = {key: _losses_of(key, losses[key], cards.get(key)) for key in (*worst, *best)}
    scores, unread = read_scores(run)
    return RunCard(
        name=name,
        run=run,
        grids=tuple(_read_grid(run, step) for step in choose_evenly(list(run.grids), MOST_GRIDS)[::-1]),
        grid_count=len(run.grids),
        scores=tuple(draw_scores(scores)),
        step=loaded.step,
        worst=tuple(samples[key] for key in worst),
        best=tuple(samples[key] for key in best),
        samples=sum(fields["loss"] is not None for fields in losses.values()),
        averaged=any(fields["loss_ema"] is not None for fields in losses.values()),
        warnings=(*log_faults(run.rows), *sample_faults(loaded.losses), *unread, *loaded.notes),
    )


def choose_evenly(steps: Sequence[int], most: int) -> list[int]:
    """Choose steps, evenly spaced in their list, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[place] for place in np.linspace(0, len(steps) - 1, most).round().astype(int)]


def choose_extremes(losses: Mapping[str, Mapping[str, Any]], most: int) -> tuple[list[str], list[str]]:
    """Choose the samples with the largest losses, and with the smallest, half of `most` each; all where they are few.

    Args:
        losses: by key, the worst first; see `losses_by_key`.
    """
    ranked = [key for key, fields in losses.items() if fields["loss"] is not None]
    if len(ranked) <= most:
        return ranked, []
    best = [key for key in ranked[::-1] if math.isfinite(losses[key]["loss"])][: most // 2]
    return [key for key in ranked if key not in best][: most - most // 2], best


def log_faults(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say at which steps the log has a loss that was not finite: it stands there as null."""
    faults = []
    for column, words in LOGGED.items():
        steps = [f"{row['step']:,}" for row in rows if column in row and row[column] is None]
        if steps:
            faults.append(f"The {words} was not finite at {'steps' if len(steps) > 1 else 'step'} {_some(steps)}")
    return faults


def sample_faults(losses: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which samples have a loss that is not finite, and how many were passed over."""
    broken = [
        key
        for key, fields in losses.items()
        if any(fields[name] is not None and not math.isfinite(fields[name]) for name in LOSSES)
    ]
    passed_over = sum(fields["loss"] is None for fields in losses.values())
    faults = [f"Validation samples with a loss that is not finite: {_some(broken)}"] if broken else []
    if passed_over:
        faults.append(f"Validation samples without a loss, damaged and passed over: {passed_over:,}")
    return faults


def name_runs(folders: Sequence[Path]) -> list[str]:
    """Name trainings by their folders, with as many of the folders above as tell them apart."""
    for parts in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = [Path(*folder.parts[-parts:]).as_posix() for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def _losses_of(key: str, fields: Mapping[str, Any], card: Card | None) -> SampleLosses:
    rows = [(part, loss_text(fields[name]), loss_text(fields[f"{name}_ema"])) for part, name in PARTS.items()]
    return SampleLosses(key, fields["timestep"], tuple(rows), card)


def _read_grid(run: TrainingRun, step: int) -> Grid:
    row = next((row for row in run.rows if row["step"] == step), {})
    words = [f"{name} {loss_text(row[column])}" for column, name in LOGGED.items() if row.get(column) is not None]
    try:
        picture = show_picture(read_picture(run.grids[step], "sample grid"), GRID_PX)
    except InputError as error:
        picture = ShownPicture(problem=str(error))
    return Grid(step, picture, ", ".join(words))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
