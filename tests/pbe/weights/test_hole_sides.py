"""How large a training's holes were: what a model's note holds of it."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.weights.hole_sides import PERCENTS, is_summary, summarise_hole_sides

SIDES = st.lists(st.floats(1 / 4096, 1, width=32), min_size=1, max_size=50)
SOUND = {str(percent): percent / 100 for percent in PERCENTS}


@given(SIDES)
def test_the_summary_of_any_holes_is_read_back_and_splits_them_where_it_says(sides: list[float]) -> None:
    summary = summarise_hole_sides(np.array(sides, np.float32))
    assert is_summary(json.loads(json.dumps(summary)))
    for percent in PERCENTS:
        below = sum(side < summary[str(percent)] - 1e-4 for side in sides)
        above = sum(side > summary[str(percent)] + 1e-4 for side in sides)
        others = len(sides) - 1
        assert below <= percent / 100 * others + 1 and above <= (1 - percent / 100) * others + 1


@pytest.mark.parametrize(
    "damaged",
    [
        [],
        {},
        {**SOUND, "1": 0.0},
        {**SOUND, "99": 1.01},
        {**SOUND, "50": 0.1},
        {**SOUND, "50": None},
        {**SOUND, "50": float("nan")},
        {**SOUND, "99": True},
        {**SOUND, "100": 1.0},
        {name: side for name, side in SOUND.items() if name != "5"},
    ],
)
def test_other_values_are_no_summary(damaged: Any) -> None:
    assert is_summary(SOUND) and not is_summary(damaged)
