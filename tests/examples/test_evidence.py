"""The evidence: rows and differences where they belong, and the command that makes them."""

from dataclasses import replace

import pytest

from examples.small_model.evidence import (
    METRICS,
    OURS,
    RANDOM,
    EvidenceConfig,
    evaluate_arguments,
    refuse_without_model,
    tables_of,
)
from pbe.evaluate import parse_evaluate_config
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import MethodOptions
from pbe.evaluation.summary import BenchFacts, Difference, Mean, Metric, Row, Summary
from pipeline.errors import InputError

SIMILARITY, COLOUR, *_, SEAM = METRICS
CONFIG = EvidenceConfig(model="MODEL", data="DATA", out="OUT")


def row(method: str, variant: str, guidance: float | None, similarity: float, seam: float) -> Row:
    name = f"{method} ({variant}) g={guidance}" if variant else method
    means = {SIMILARITY: Mean(similarity, similarity - 0.01, similarity + 0.01, 9), SEAM: Mean(seam, None, None, 9)}
    return Row(name, method, variant, guidance, cases=9, means=means)


def summary() -> Summary:
    """Two guidance scales, two variants; a similarity of .5 and .6 for ours, .3 and .2 for the random exemplar."""
    painted = [
        row(method, variant, guidance, similarity, seam)
        for method, by_guidance in ((OURS, (0.5, 0.6)), (RANDOM, (0.3, 0.2)))
        for guidance, similarity in zip((1.0, 3.0), by_guidance, strict=True)
        for variant, seam in (("crop", 2.0), ("hole", 1.25))
    ]
    names = [each.name for each in painted if each.variant == "crop"]
    differences = (
        Difference(SIMILARITY, names[0], names[2], Mean(0.2, 0.1, 0.3, 9), 0.01, 0.02),
        Difference(SIMILARITY, names[1], names[3], Mean(0.4, 0.3, 0.5, 9), 0.01, 0.02),
        Difference(SIMILARITY, names[0], names[3], Mean(0.9, 0.8, 1.0, 9), 0.01, 0.02),
    )
    metrics = (*(Metric(key, key, "higher") for key in (SIMILARITY, COLOUR)), Metric(SEAM, "Seam", "neither"))
    rows = (*painted, row("identity", "", None, 0.1, 0.9))
    return Summary(BenchFacts("unseen", "cut", 9, "0" * 16), metrics, rows, differences)


def test_a_row_is_of_the_decoded_picture_with_the_seam_of_the_blended_one_beside_it() -> None:
    lines = tables_of(summary()).splitlines()
    [ours] = [line for line in lines if line.startswith("| ours, g = 3 |")]
    assert "0.600 [0.590, 0.610]" in ours and "2.000" in ours and ours.endswith("| 1.250 |")
    assert [line.split("|")[1].strip() for line in lines if ", g = " in line] == [
        f"{method}, g = {guidance}" for method in (OURS, RANDOM) for guidance in (1, 3)
    ]
    assert "| identity | 0.100 [0.090, 0.110] | \N{EN DASH} | 0.900 |  |" in lines


def test_a_difference_is_of_the_two_rows_of_one_guidance_scale() -> None:
    lines = tables_of(summary()).splitlines()
    assert "| 1 | +0.200 [0.100, 0.300] | \N{EN DASH} |" in lines
    assert "| 3 | +0.400 [0.300, 0.500] | \N{EN DASH} |" in lines
    assert not any("0.900 [0.800" in line for line in lines)


def test_methods_that_did_not_run_are_left_out() -> None:
    whole = summary()
    missing = replace(whole, rows=tuple(replace(each, unavailable="gone") for each in whole.rows[:2]) + whole.rows[2:])
    assert "ours, g = 1" not in tables_of(missing) and "ours, g = 3" in tables_of(missing)


def test_a_model_that_did_not_run_is_refused_by_its_reason() -> None:
    whole = summary()
    refuse_without_model(whole, "MODEL")
    with pytest.raises(InputError, match="--model MODEL: gone"):
        refuse_without_model(replace(whole, rows=(replace(whole.rows[2], unavailable="gone"),)), "MODEL")


def test_the_evaluation_that_it_runs_has_the_rows_that_the_tables_look_for() -> None:
    config = parse_evaluate_config(evaluate_arguments(CONFIG), prog="evaluate")
    methods = [method.name for method in open_methods(config.methods, MethodOptions())]
    assert methods == [OURS, RANDOM, "copy-paste", "identity"]
    assert config.scales == (1, 2, 3, 4, 5, 6, 7) and config.bench_from == "DATA" and config.exemplar == "other"
    assert config.split == "validation" and config.features == ("efficientnet-lite2",)
