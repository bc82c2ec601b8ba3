"""Numbers of papers: beside ours only where bench, number of cases and metric are theirs."""

from dataclasses import replace

from pbe.evaluation.report.numbers import NOTHING
from pbe.evaluation.report.reported import REPORTED, tabulate_reported
from pbe.evaluation.summary import BenchFacts, Mean, Metric, Row, SetDistance, Summary

METRICS = (
    Metric("frechet", "FID (CLIP ViT-B/32)", "lower"),
    Metric("quality", "QS (own mixture)", "higher"),
    Metric("clip_score_official", "CLIP score", "higher"),
)
MEANS = {"quality": Mean(99.0, None, None, 3500), "clip_score_official": Mean(85.0, 84.0, 86.0, 3500)}
OURS = Row("ours", "pbe", cases=3500, failed=1, means=MEANS, frechet=SetDistance(3.2, 3499, 0.87, None))


def summary(kind: str, cases: int) -> Summary:
    return Summary(BenchFacts("a bench", kind, cases, "0" * 16), METRICS, (OURS,))


def test_on_the_whole_of_cocoee_ours_stand_below_in_the_metrics_that_are_the_papers() -> None:
    table = tabulate_reported(summary("cocoee", 3500))
    assert table.lines[4].cells == ("3.18", "77.80", "84.97") and table.lines[4].where == "reported by the paper"
    ours = table.lines[-1]
    assert (ours.name, ours.cells) == ("ours", ("3.20", NOTHING, "85.00"))
    assert ours.where == "measured here, 1 of 3,500 cases failed"
    assert table.notes[0] == "Ours has no QS as the paper defines it." and "COCO test2017" in table.notes[1]


def test_a_distance_on_other_features_never_stands_below_the_papers_fid() -> None:
    whole = summary("cocoee", 3500)
    other = replace(whole, metrics=(Metric("frechet", "Fréchet distance (FID-like)", "lower"), *METRICS[1:]))
    assert tabulate_reported(other).lines[-1].cells[0] == NOTHING


def test_on_another_bench_or_a_part_no_number_of_ours_stands_there() -> None:
    for other, said in ((summary("cases", 3500), "another bench"), (summary("cocoee", 64), "ours are of 64")):
        table = tabulate_reported(other)
        assert len(table.lines) == len(REPORTED)
        assert len(table.notes) == 1 and said in table.notes[0] and "not comparable" in table.notes[0]
