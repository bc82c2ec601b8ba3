"""Validation tables: the losses of a split, sample by sample."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pbe.training.observations import COLUMNS, Observations
from pbe.training.validation import Validation

SAMPLES, KEYS = 4, ("photo-0-0", "photo-1-0", "photo-2-0", "photo-3-0")
KINDS = ("loss", "inside", "outside")


def observed(rows: dict[str, list[float]]) -> Observations:
    """Observations of some samples; what is not given has a value that does not matter."""
    ordinary = {"ordinal": range(SAMPLES), "key": [0] * SAMPLES, "weight": [1] * SAMPLES, "timestep": range(SAMPLES)}
    ordinary["objective"] = [1.0] * SAMPLES
    values = {**ordinary, "hole": [0.5] * SAMPLES, **{kind: [1.0] * SAMPLES for kind in KINDS}, **rows}
    return Observations(np.array([values[name] for name in COLUMNS], np.float64).T)


@given(st.permutations(range(2 * SAMPLES)), st.integers(1, SAMPLES))
def test_a_table_depends_neither_on_the_order_of_the_rows_nor_on_empty_slots(order: list[int], samples: int) -> None:
    numbers = np.random.default_rng(samples).uniform(0, 1, (2 * SAMPLES, len(COLUMNS)))
    numbers[:, 0] = np.arange(2 * SAMPLES)
    expected = Validation(Observations(numbers[:samples]), None).table(KEYS[:samples])
    assert Validation(Observations(numbers[order]), None).table(KEYS[:samples]).equals(expected)
    assert expected["key"].to_pylist() == list(KEYS[:samples])
    assert expected["loss_ema"].null_count == expected["loss_inside_ema"].null_count == samples


def test_what_is_no_number_stays_nan_and_what_does_not_exist_is_null() -> None:
    nan, infinite = float("nan"), float("inf")
    raw = observed(
        {
            "loss": [1.0, nan, 0.0, infinite],
            "inside": [nan, nan, 0.0, infinite],
            "outside": [1.0, nan, 0.0, nan],
            "hole": [0.0, 0.5, 0.0, 1.0],
            "weight": [1, 1, 0, 1],
        }
    )
    table = Validation(raw, raw).table(KEYS)
    assert table["missing"].to_pylist() == [False, False, True, False]
    assert str(table["loss"].to_pylist()) == "[1.0, nan, None, inf]"
    assert str(table["loss_inside"].to_pylist()) == "[None, nan, None, inf]"
    assert str(table["loss_outside"].to_pylist()) == "[1.0, nan, None, None]"
    assert str(table["hole"].to_pylist()) == "[0.0, 0.5, None, 1.0]"
    assert str(table["loss_outside_ema"].to_pylist()) == str(table["loss_outside"].to_pylist())
