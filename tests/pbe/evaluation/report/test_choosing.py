"""The choice of cases: worst, best and failed ones of each row, then seeded others, never too many."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.report.choosing import EXTREMES, choose_cases, find_extremes, ranking_metric
from pbe.evaluation.summary import BenchFacts, Mean, Metric, Row, Summary

SEAM = Metric("seam", "seam", "lower")
VALUES = st.none() | st.floats(-10, 10)


def scored(values: list[float | None], *, failed: frozenset[int] = frozenset()) -> dict[str, dict[str, Any]]:
    return {f"c{n}": {"seam": value, "failed": "it broke" if n in failed else ""} for n, value in enumerate(values)}


@settings(max_examples=40)
@given(st.lists(st.lists(VALUES, min_size=40, max_size=40), min_size=1, max_size=6), st.integers(1, 45))
def test_a_choice_is_within_its_limit_in_the_order_of_the_bench_and_repeatable(
    rows: list[list[float | None]], most: int
) -> None:
    scores = {f"row{n}": scored(values, failed=frozenset({n})) for n, values in enumerate(rows)}
    order = [f"c{n}" for n in range(40)]
    choice = choose_cases(order, scores, SEAM, most=most)
    assert len(choice.cases) == min(most, 40)
    assert list(choice.cases) == [case for case in order if case in choice.cases]
    assert set(choice.reasons) <= set(choice.cases)
    assert choice == choose_cases(order, scores, SEAM, most=most)


def test_the_worst_and_the_best_of_each_row_are_there_with_failures_and_seeded_others() -> None:
    scores = {
        "up": scored([float(n) for n in range(40)], failed=frozenset({20})),
        "down": scored([-n for n in range(40)]),
    }
    choice = choose_cases([f"c{n}" for n in range(40)], scores, SEAM, most=20)
    assert choice.reasons["c39"] == ("worst of up", "best of down")
    assert choice.reasons["c20"] == ("failed: up",)
    assert {"c0", "c1", "c2", "c37", "c38", "c39", "c20"} == set(choice.reasons)
    assert len(choice.cases) == 20


def test_a_lower_is_better_metric_turns_the_ranking_and_ties_keep_their_order() -> None:
    values = scored([1.0, 3.0, 2.0, 2.0, None, 0.0, 3.0, 1.0], failed=frozenset({5}))
    lower, higher = find_extremes(values, SEAM), find_extremes(values, Metric("seam", "seam", "higher"))
    assert lower.worst == higher.best == ("c1", "c6", "c2")
    assert lower.best == higher.worst == ("c0", "c7", "c2")
    assert lower.failed == ("c5",) and len(lower.worst) == EXTREMES


def test_a_clip_score_ranks_before_all_others_and_a_set_distance_never() -> None:
    metrics = [Metric("frechet", "FID", "lower"), Metric("copy_paste", "copy-paste", "neither"), SEAM]
    metrics.append(Metric("clip_score_fixed", "CLIP score", "higher"))
    row = Row("a", "m", means={metric.key: Mean(1.0, None, None, 3) for metric in metrics})
    bench = BenchFacts("b", "cases", 3, "0" * 16)
    assert ranking_metric(Summary(bench, tuple(metrics), (row,))) == metrics[-1]
    assert ranking_metric(Summary(bench, tuple(metrics[:3]), (row,))) == SEAM
    assert ranking_metric(Summary(bench, tuple(metrics[:2]), (row,))) is None
