"""Grid scores: a training's sample grid -> how like their exemplars its pictures are. Imports no torch."""

from collections.abc import Mapping
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from pbe.evaluation.copying.score import copy_paste_score
from pbe.evaluation.metrics.encoders.protocol import Features
from pbe.evaluation.metrics.measured import Measured
from pbe.evaluation.metrics.regions import fixed_view
from pbe.evaluation.metrics.similarity import cosines
from pipeline.arrays import Hole, Pixels
from pipeline.encoders.protocols import ExemplarEncoder
from schemas.grid_scores import COPY_PASTE, SIMILARITY, SOURCE, GridScore, guidance_name

if TYPE_CHECKING:
    from pbe.training.sample_grids import GridPictures

NO_TOWER = "the training holds no exemplar encoder"
EMPTY = "the mask is empty"
_DECIMALS = 4


def score_pictures(grid: "GridPictures", tower: ExemplarEncoder | None) -> Mapping[str, Mapping[str, GridScore]]:
    """Score the sources and what was painted at each guidance scale against the exemplars, as they are stored.

    Args:
        tower: encodes the exemplars of the training's dataset; None: only the copy-paste score is taken.

    Returns:
        By metric and picture: see schemas.grid_scores.
    """
    columns = {SOURCE: grid.sources, **{guidance_name(scale): column for scale, column in grid.painted.items()}}
    copies = {name: _copies(column, grid) for name, column in columns.items()}
    likenesses = _likenesses(columns, grid, tower)
    return {
        metric: {name: _sum_up(scores) for name, scores in by_column.items()}
        for metric, by_column in ((COPY_PASTE, copies), (SIMILARITY, likenesses))
    }


def _copies(pictures: list[Pixels], grid: "GridPictures") -> list[Measured]:
    return [copy_paste_score(*sample) for sample in zip(pictures, grid.masks, grid.exemplars, strict=True)]


def _likenesses(
    columns: Mapping[str, list[Pixels]], grid: "GridPictures", tower: ExemplarEncoder | None
) -> dict[str, list[Measured]]:
    """Compare each hole's rectangle, squashed to the size of stored exemplars, with its exemplar."""
    if tower is None:
        return dict.fromkeys(columns, [Measured(None, NO_TOWER)] * len(grid.masks))
    exemplars = _encode(tower, grid.exemplars)
    likenesses = {}
    for name, pictures in columns.items():
        views = list(map(partial(_view, side=len(grid.exemplars[0])), pictures, grid.masks))
        found = cosines(_encode(tower, views), exemplars)
        likenesses[name] = [
            one if mask.any() else Measured(None, EMPTY) for one, mask in zip(found, grid.masks, strict=True)
        ]
    return likenesses


def _view(picture: Pixels, mask: Hole, *, side: int) -> Pixels:
    """Cut out what is compared; of a picture without a hole any pixels, so that the others keep their batch."""
    return fixed_view(picture, mask, side) if mask.any() else np.zeros((side, side, 3), np.uint8)


def _encode(tower: ExemplarEncoder, pictures: list[Pixels]) -> Features:
    return tower.encode(np.stack(pictures)).astype(np.float32)


def _sum_up(scores: list[Measured]) -> GridScore:
    values = [score.value for score in scores if score.value is not None]
    rounded = tuple(None if score.value is None else round(score.value, _DECIMALS) for score in scores)
    mean = round(fmean(values), _DECIMALS) if values else None
    return GridScore(mean, rounded, tuple(score.reason for score in scores))
