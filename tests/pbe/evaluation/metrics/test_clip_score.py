"""CLIP score and similarity: whose number is what, and what it is for given features."""

import numpy as np
import pytest
from skimage.data import astronaut, chelsea, coffee

from pbe.evaluation.metrics.clip_score import clip_scores
from pbe.evaluation.metrics.similarity import cosines, exemplar_similarities
from pipeline.arrays import Hole, Pixels
from tests.pbe.evaluation.metrics.encoder_of_colours import Colours


def rectangle(picture: Pixels, left: int, top: int, right: int, bottom: int) -> Hole:
    mask = np.zeros(picture.shape[:2], bool)
    mask[top:bottom, left:right] = True
    return mask


def test_a_paste_of_the_exemplar_scores_100_by_the_fixed_form_and_nearly_so_by_the_official_one() -> None:
    result, exemplar = coffee(), chelsea()[:224, :224]
    result[50:274, 80:304] = exemplar
    [score] = clip_scores(Colours(), [result], [rectangle(result, 80, 50, 304, 274)], [exemplar])
    assert score.fixed.value == pytest.approx(100)
    assert score.official.value is not None
    assert 99 < score.official.value < 100


def test_the_fixed_score_is_a_hundred_similarities_by_the_same_encoder() -> None:
    results, exemplars = [coffee(), chelsea()], [chelsea(), astronaut()]
    masks = [rectangle(result, 30, 40, 160, 190) for result in results]
    scores = clip_scores(Colours(), results, masks, exemplars)
    similar = exemplar_similarities(Colours(), results, masks, exemplars)
    for score, each in zip(scores, similar, strict=True):
        assert score.fixed.value is not None and each.value is not None
        assert score.fixed.value == pytest.approx(100 * each.value)
        assert score.official.value == pytest.approx(score.fixed.value, abs=2)


def test_a_rectangle_of_one_column_has_a_fixed_score_only_and_moves_no_other_case() -> None:
    results = [coffee()] * 3
    masks = [rectangle(coffee(), 30, 40, right, 190) for right in (160, 31, 99)]
    scores = clip_scores(Colours(), results, masks, [chelsea()] * 3)
    assert scores[1].official.value is None and "1 px" in scores[1].official.reason
    assert scores[1].fixed.value is not None
    for place in (0, 2):
        assert clip_scores(Colours(), [coffee()], [masks[place]], [chelsea()]) == [scores[place]]


def test_another_encoder_gives_no_clip_score_but_a_similarity() -> None:
    mask = rectangle(coffee(), 30, 40, 160, 190)
    other = Colours("untrained CLIP ViT-B/32", side=64)
    with pytest.raises(ValueError, match="untrained CLIP ViT-B/32: gives no CLIP score"):
        clip_scores(other, [coffee()], [mask], [chelsea()])
    [found] = exemplar_similarities(other, [coffee()], [mask], [chelsea()])
    assert found.value is not None and -1 <= found.value <= 1


def test_no_cases_have_no_scores() -> None:
    assert clip_scores(Colours(), [], [], []) == []
    assert exemplar_similarities(Colours(), [], [], []) == []


def test_lists_of_unequal_lengths_are_refused() -> None:
    mask = rectangle(coffee(), 30, 40, 160, 190)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        exemplar_similarities(Colours(), [coffee()], [mask], [])


def test_features_that_have_no_direction_have_no_cosine_and_say_why() -> None:
    rows = np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1], [-3, -4]], np.float32)
    found = cosines(rows, np.full_like(rows, 1))
    assert [each.value is None for each in found] == [False, True, True, True, False]
    assert ["zero" in found[1].reason, "finite" in found[2].reason, "finite" in found[3].reason] == [True] * 3
    assert found[0].value == pytest.approx(7 / (5 * 2**0.5)) and found[4].value == -found[0].value


def test_a_cosine_is_never_beyond_1() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 7)).astype(np.float32)
    values = [each.value for each in cosines(rows, 3 * rows)]
    assert max(map(abs, map(float, values))) <= 1  # type: ignore[arg-type]
