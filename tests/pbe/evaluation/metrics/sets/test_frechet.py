"""Fréchet distance: what it must be, and that others compute the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pbe.evaluation.metrics.sets.frechet import accumulate, frechet_distance, statistics_of, without
from pipeline.errors import InputError
from tests.pbe.evaluation.metrics.sets.feature_sets import PAIRS, features_of

Rows = NDArray[np.floating]
FEW = settings(max_examples=30)
ROOT = Path(__file__).parents[5]

# By other_frechet.py, torch-fidelity 0.4.0 and clean-fid 0.1.35, which agree to the last digit here.
THEIRS = {
    "more pictures than dimensions": 0.646229,
    "fewer pictures than dimensions": 31.666718,
    "two dimensions are one": 0.245881,
    "means far from 0": 0.411056,
}


def distance(first: Rows, second: Rows) -> float:
    return frechet_distance(statistics_of(first, "first"), statistics_of(second, "second"))


def pair(kind: str) -> list[Rows]:
    return [features_of(kind, *numbers) for numbers in PAIRS[kind]]


def clip_like(n: int, d: int = 512, seed: int = 0) -> Rows:
    """Features as CLIP has them: some dimensions far from 0 and wide, two of them nearly one."""
    rows = np.random.default_rng(seed).normal(0, np.geomspace(5, 0.05, d), (n, d))
    rows[:, 0] += 9
    rows[:, 133 % d] = rows[:, 0] * 1.3 + rows[:, 1] * 1e-6
    return rows.astype(np.float32)


@st.composite
def sets(draw: st.DrawFn) -> list[Rows]:
    """Two sets of up to 12 features of up to 6 dimensions, often with fewer pictures than those."""
    d = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([1e-3, 1.0, 1e4]))
    return [scale * rng.standard_normal((draw(st.integers(2, 12)), d)) for _ in range(2)]


@pytest.mark.parametrize("kind", PAIRS)
def test_the_distance_is_the_one_that_torch_fidelity_and_clean_fid_compute(kind: str) -> None:
    assert distance(*pair(kind)) == pytest.approx(THEIRS[kind], abs=2e-6)


@pytest.mark.slow
def test_torch_fidelity_and_clean_fid_still_compute_these_distances(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path)]
    subprocess.run([*install, "torch-fidelity==0.4.0", "clean-fid==0.1.35"], check=True)
    script = ROOT / "tests/pbe/evaluation/metrics/sets/other_frechet.py"
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    ran = subprocess.run(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": path}, check=True, stdout=subprocess.PIPE
    )
    theirs = json.loads(ran.stdout)
    assert theirs.keys() == PAIRS.keys()
    for kind, by_name in theirs.items():
        assert set(by_name) == {"torch-fidelity", "clean-fid"}
        for value in by_name.values():
            assert distance(*pair(kind)) == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize(("n", "d"), [(100, 128), (300, 128), (2, 128)])
def test_a_set_is_no_distance_from_itself(n: int, d: int) -> None:
    features = clip_like(n, d)
    assert abs(distance(features, features[::-1])) < 1e-9
    assert abs(distance(1e4 * features, 1e4 * features)) < 1e-4


def test_one_dimension_has_the_distance_of_two_normal_distributions() -> None:
    """|m1 - m2|² + (s1 - s2)², computed by hand."""
    first, second = np.array([[1.0], [3.0]]), np.array([[10.0], [16.0], [13.0]])
    assert distance(first, second) == pytest.approx((13 - 2) ** 2 + (3 - 2**0.5) ** 2, rel=1e-12)


@FEW
@given(sets())
def test_the_distance_is_symmetric(given_sets: list[Rows]) -> None:
    first, second = given_sets
    assert distance(first, second) == pytest.approx(distance(second, first), rel=1e-9, abs=1e-15)


@FEW
@given(sets(), st.integers(0, 2**32))
def test_the_order_of_pictures_changes_no_bit(given_sets: list[Rows], seed: int) -> None:
    first, second = given_sets
    order = np.random.default_rng(seed).permutation(len(first))
    assert distance(first[order], second) == distance(first, second)


@FEW
@given(sets(), st.integers(0, 2**32))
def test_a_rotation_of_both_sets_changes_nothing(given_sets: list[Rows], seed: int) -> None:
    first, second = given_sets
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((first.shape[1],) * 2))[0]
    scale = max(float((first**2).mean()), float((second**2).mean()))
    assert distance(first @ turn, second @ turn) == pytest.approx(distance(first, second), rel=1e-6, abs=1e-6 * scale)


@FEW
@given(sets(), st.integers(0, 2**32))
def test_a_translation_away_from_itself_adds_its_square(given_sets: list[Rows], seed: int) -> None:
    first, _ = given_sets
    step = np.random.default_rng(seed).normal(0, np.abs(first).max(), first.shape[1])
    assert distance(first + step, first) == pytest.approx(step @ step, rel=1e-9)


@FEW
@given(sets())
def test_equal_means_and_a_translation_add_its_square_to_the_distance(given_sets: list[Rows]) -> None:
    first, second = (features - features.mean(axis=0) for features in given_sets)
    step = np.full(first.shape[1], np.abs(first).max())
    assert distance(first + step, second) == pytest.approx(distance(first, second) + step @ step, rel=1e-9)


@FEW
@given(sets(), st.lists(st.integers(0, 12), max_size=4))
def test_blocks_of_any_size_in_any_order_make_the_same_statistics(given_sets: list[Rows], cuts: list[int]) -> None:
    features = given_sets[0] + 1000 * np.abs(given_sets[0]).max()
    whole = statistics_of(features, "whole")
    streamed = accumulate(reversed(np.split(features, sorted(cuts))), "streamed")
    assert streamed.n == whole.n
    np.testing.assert_allclose(streamed.mean, whole.mean, rtol=1e-9)
    np.testing.assert_allclose(streamed.covariance, np.cov(features, rowvar=False).reshape(whole.covariance.shape))
    assert frechet_distance(streamed, whole) <= 1e-9 * np.trace(whole.covariance)


@FEW
@given(sets())
def test_a_set_without_a_part_is_the_other_part(given_sets: list[Rows]) -> None:
    part, others = sorted(given_sets, key=len)
    whole = statistics_of(np.concatenate([part, others]), "whole")
    left, expected = without(whole, statistics_of(part, "part")), statistics_of(others, "others")
    assert left.n == expected.n
    np.testing.assert_allclose(left.mean, expected.mean, atol=1e-12 * np.abs(others).max())
    np.testing.assert_allclose(left.covariance, expected.covariance, atol=1e-12 * np.abs(others).max() ** 2)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((1, 4)), "mine: has 1 pictures; .* at least two"),
        (np.ones((0, 4)), "mine: has 0 pictures"),
        (np.array([[1.0], [np.nan], [np.inf]]), "mine: features of 2 pictures are not finite, the first in row 1"),
        (np.ones((3, 4), dtype=int), r"mine: features are int64 \[3, 4\]; give floats"),
        (np.ones(3), r"mine: features are float64 \[3\]; give floats"),
        (np.ones((3, 0)), r"mine: features are float64 \[3, 0\]; give floats"),
        (np.array([[1e200], [-1e200]]), "mine: .* overflows"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_features_that_have_no_distance_are_refused_by_name(features: Rows, message: str) -> None:
    with pytest.raises(InputError, match=message):
        statistics_of(features, "mine")
    with pytest.raises(InputError, match=message):
        accumulate([features], "mine")


def test_blocks_of_two_encoders_are_refused() -> None:
    with pytest.raises(InputError, match="mine: mixes features of 3 and 4 dimensions"):
        accumulate([np.ones((2, 3)), np.ones((2, 4))], "mine")


def test_sets_of_two_encoders_have_no_distance() -> None:
    with pytest.raises(ValueError, match="3 dimensions against 4"):
        distance(np.ones((2, 3)), np.ones((2, 4)))
