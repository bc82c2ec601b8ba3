"""Training page: a training's log, sample grids and worst validation samples -> one HTML file."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboards.pictures import PictureReader
from dashboards.sheet.cards import GRID, make_cards
from dashboards.sheet.curves import draw_curves
from dashboards.sheet.page import Sheet, card_filters, render
from dashboards.sheet.thumbnails import webp_uri
from dashboards.training_run import TrainingRun
from pbe.editing.inputs import read_picture
from pipeline.errors import InputError
from pipeline.shards.samples import Row

DEFAULT_WORST = 100
MOST_GRIDS, GRID_PX, GRID_QUALITY = 8, 1000, 70
SHOWN_FLAGS = ("model", "steps", "batch_size", "lr", "dtype", "ema", "seed")
SHOWN_LOSSES = {"loss": "", "loss_inside": "hole", "loss_outside": "around", "loss_ema": "EMA"}


@dataclass(frozen=True)
class WorstSamples:
    """Validation samples, the worst first, with their losses at a step by key, and what reads their pictures."""

    rows: Sequence[Row]
    losses: Mapping[str, Mapping[str, Any]]
    step: int
    reader: PictureReader


@dataclass(frozen=True)
class GridPicture:
    """A sample grid as data URI; empty: it cannot be read, and `problem` says why."""

    step: int
    uri: str
    problem: str


def make_training_sheet(
    run: TrainingRun,
    worst: WorstSamples | None,
    *,
    beside: Sequence[TrainingRun] = (),
    progress: Callable[[int], Any] = lambda samples: None,
) -> Sheet:
    """Make the page of a training.

    Args:
        beside: further trainings, whose losses are drawn in the same figure.
        progress: called with the number of validation samples read so far.
    """
    cards = []
    for card in make_cards(worst.rows, worst.reader) if worst else ():
        cards.append(card)
        progress(len(cards))
    failed = sum(card.pictures is None for card in cards)
    html = render(
        "training.html.jinja",
        run=run,
        flags={name: run.config[name] for name in SHOWN_FLAGS if name in run.config},
        curves=draw_curves([(each.name, each.rows) for each in (run, *beside)]),
        grids=[_read_grid(step, run) for step in spread(list(run.grids), MOST_GRIDS)],
        cards=cards,
        losses=[describe_losses(worst.losses[card.row["key"]]) for card in cards] if worst else [],
        step=worst.step if worst else 0,
        failed=failed,
        filters=card_filters(cards),
        grid=GRID,
    )
    return Sheet(html, len(cards), failed)


def spread(steps: Sequence[int], most: int) -> list[int]:
    """Choose at most so many steps, evenly, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[place] for place in np.linspace(0, len(steps) - 1, most).round().astype(int)]


def describe_losses(losses: Mapping[str, Any]) -> str:
    """Name the losses of a sample that there are, and its timestep."""
    known = [(title, losses[name]) for name, title in SHOWN_LOSSES.items() if losses[name] is not None]
    written = [f"{title} {loss:.3f}" if math.isfinite(loss) else f"{title} not finite" for title, loss in known]
    return ", ".join([*written, f"timestep {losses['timestep']}"]).strip()


def _read_grid(step: int, run: TrainingRun) -> GridPicture:
    try:
        pixels = read_picture(run.grids[step], "grid")
    except InputError as error:
        return GridPicture(step, "", str(error))
    return GridPicture(step, webp_uri(pixels, width=GRID_PX, quality=GRID_QUALITY), "")
