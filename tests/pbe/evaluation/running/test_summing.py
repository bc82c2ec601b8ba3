"""Scores become rows whose numbers can be, and which say why they are of fewer cases."""

import pytest

from pbe.evaluation.metrics.intervals import mean_of
from pbe.evaluation.running.summing import LONGEST, why_failed, within_range
from pbe.evaluation.summary import Mean


def test_the_commonest_reason_for_failures_is_said_and_the_others_are_counted() -> None:
    scores = [{"failed": reason} for reason in ("", "no label", "no label", "NaN", "", "x" * 999)]
    assert why_failed(scores) == ("2 failed: no label; 2 for other reasons",)
    assert why_failed(scores[:2]) == ("1 failed: no label",) and why_failed(scores[:1]) == ()
    assert why_failed(scores[5:]) == ("1 failed: " + "x" * LONGEST,)


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("similarity:CLIP ViT-B/32", -1.0, 1.0),
        ("copy_paste", -1.0, 1.0),
        ("outside_ssim", -1.0, 1.0),
        ("clip_score_fixed", -100.0, 100.0),
        ("quality", 0.0, 100.0),
    ],
)
def test_intervals_of_few_cases_end_where_the_metric_does(key: str, low: float, high: float) -> None:
    mean = mean_of([low, low, high], seed=0)
    assert mean and mean.low and mean.high and mean.low < low < high < mean.high
    assert within_range(mean, key) == Mean(mean.value, low, high, 3)


def test_other_intervals_and_single_cases_stay_as_they_are() -> None:
    for mean in (None, Mean(0.5, None, None, 1), Mean(0.5, 0.25, 0.75, 30)):
        assert within_range(mean, "copy_paste") == mean
    assert within_range(Mean(20.0, -5.0, 45.0, 3), "seam") == Mean(20.0, 0.0, 45.0, 3)
    assert within_range(Mean(20.0, -5.0, 45.0, 3), "outside_psnr") == Mean(20.0, -5.0, 45.0, 3)
