"""Scores of a training's sample grids: what they say of copies, and of samples that cannot be scored."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from pbe.evaluation.copying.pasting import paste_exemplar
from pbe.evaluation.grid_scores import NO_TOWER, score_pictures
from pbe.training.sample_grids import GridPictures
from pipeline.arrays import Hole, Pixels
from schemas.grid_scores import COPY_PASTE, SIMILARITY, SOURCE, GridScores
from tests.pbe.evaluation.copying.pictures import hole, texture
from tests.pbe.evaluation.metrics.encoder_of_colours import Colours

SIDE = 96
HOLES = [hole(SIDE, SIDE, (20, 10, 70, 80)), hole(SIDE, SIDE, (5, 30, 90, 75))]
SMALL, EMPTY = hole(SIDE, SIDE, (20, 10, 24, 80)), hole(SIDE, SIDE, (0, 0, 0, 0))
COPIED, OTHER = "guidance 1", "guidance 3"


@dataclass(frozen=True)
class Tower:
    """An encoder by colours with the members of a dataset's CLIP."""

    factor: float = 1
    name: str = "colours"
    fingerprint: str = "colours"
    dimension: int = 48

    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        return np.float16(self.factor) * Colours().encode(list(exemplars)).astype(np.float16)


def grid_of(*masks: Hole) -> GridPictures:
    """Sources, their exemplars pasted at guidance 1, and those of nobody at guidance 3."""
    sources, exemplars, others = (
        [texture(f"{name} {number}", side, side) for number in range(len(masks))]
        for name, side in (("source", SIDE), ("exemplar", 224), ("other", 224))
    )

    def paste(shown: list[Pixels]) -> list[Pixels]:
        samples = zip(sources, masks, shown, strict=True)
        return [paste_exemplar(source, mask, exemplar) if mask.any() else source for source, mask, exemplar in samples]

    keys = tuple(f"photo-{number}" for number in range(len(masks)))
    return GridPictures(keys, sources, list(masks), exemplars, {1.0: paste(exemplars), 3.0: paste(others)})


def test_pasted_exemplars_score_higher_than_other_pictures_and_than_the_source() -> None:
    scores = score_pictures(grid_of(*HOLES), Tower())
    for by_picture, least in ((scores[COPY_PASTE], 0.9), (scores[SIMILARITY], 0.99)):
        assert list(by_picture) == [SOURCE, COPIED, OTHER]
        copied, others = by_picture[COPIED], (by_picture[SOURCE], by_picture[OTHER])
        assert copied.reasons == ("", "") and min(value for value in copied.values if value is not None) > least
        assert copied.mean == pytest.approx(np.mean(copied.values), abs=1e-4)  # type: ignore[arg-type]
        assert all(other.mean is not None and other.mean < copied.mean - 0.2 for other in others)  # type: ignore[operator]


def test_a_mean_is_over_the_samples_that_have_a_score_and_the_others_say_why_they_have_none() -> None:
    alone, more = (score_pictures(grid_of(*masks), Tower()) for masks in (HOLES, [*HOLES, SMALL, EMPTY]))
    copied, like = more[COPY_PASTE][COPIED], more[SIMILARITY][COPIED]
    assert copied.mean == alone[COPY_PASTE][COPIED].mean and copied.values[2:] == (None, None)
    assert copied.reasons == ("", "", "the hole is 4 x 70 px: less than 12", "the mask is empty")
    assert like.values[:2] == alone[SIMILARITY][COPIED].values and like.reasons == ("", "", "", "the mask is empty")
    assert score_pictures(grid_of(EMPTY), Tower())[SIMILARITY][OTHER].mean is None


def test_without_a_tower_only_the_copy_paste_score_is_taken() -> None:
    grid = grid_of(*HOLES)
    alone, both = score_pictures(grid, None), score_pictures(grid, Tower())
    assert alone[COPY_PASTE] == both[COPY_PASTE] and list(alone[SIMILARITY]) == list(both[SIMILARITY])
    for score in alone[SIMILARITY].values():
        assert (score.mean, score.values, score.reasons) == (None, (None, None), (NO_TOWER, NO_TOWER))


@pytest.mark.parametrize("factor", [np.nan, np.inf, 0])
def test_features_that_are_no_numbers_become_nothing_and_a_reason(factor: float) -> None:
    scores = score_pictures(grid_of(*HOLES), Tower(factor))
    record = GridScores(7, "validation", "raw weights", tower="colours", keys=("a", "b"), scores=scores)
    read = json.loads(record.to_json(), parse_constant=pytest.fail)
    assert read["scores"][COPY_PASTE][COPIED]["mean"] > 0.9
    like = read["scores"][SIMILARITY][COPIED]
    assert (like["mean"], like["values"]) == (None, [None, None])
    assert all(reason.startswith("the encoder gave features that are") for reason in like["reasons"])
