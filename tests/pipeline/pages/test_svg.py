"""Shapes of charts: round ticks."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pages.svg import nice_ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_few_and_span_the_values(least: float, width: float) -> None:
    ticks = nice_ticks(least, least + width, about=5)
    spacing = ticks[1] - ticks[0]
    assert ticks[0] <= least + 1e-6 * spacing and ticks[-1] >= least + width - 1e-6 * spacing
    assert 2 <= len(ticks) <= 8
    assert f"{spacing:.0e}"[0] in "125"
