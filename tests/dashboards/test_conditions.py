"""--where: whatever is written chooses the rows that a plain reading of it chooses."""

import operator
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.conditions import as_filter, parse_condition
from pipeline.errors import InputError

ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NAMES = st.text('ab,"=<é', max_size=4)
DRAWS = st.integers(-2, 3)
SHARES = st.sampled_from([0.0, 0.25, 0.5, 1.0])  # which float32 holds exactly
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "label_name": (pa.string(), NAMES),
    "draw": (pa.int32(), DRAWS),
    "mask_share": (pa.float32(), SHARES),
    "at_border": (pa.bool_(), st.booleans()),
}


def _written(value: Any) -> str:
    """Write a value as a user would: text in double quotes where it needs them."""
    if isinstance(value, bool):
        return "yes" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return repr(value)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[str, str, list[Any], list[Any]]:
    column = draw(st.sampled_from(sorted(COLUMNS)))
    _, values = COLUMNS[column]
    several = draw(st.lists(values, min_size=1, max_size=3))
    sign = draw(st.sampled_from(["=", "!=", *(ORDERED if column in ("draw", "mask_share") else ())]))
    rows = draw(st.lists(st.none() | values, max_size=8))
    return column, sign, several if sign in ("=", "!=") else several[:1], rows


@given(_cases())
def test_a_condition_chooses_what_its_plain_reading_does(case: tuple[str, str, list[Any], list[Any]]) -> None:
    column, sign, values, rows = case
    table = pa.table({column: pa.array(rows, COLUMNS[column][0])})
    condition = parse_condition(f" {column} {sign} {', '.join(map(_written, values))}")

    def holds(row: Any) -> bool:
        if row is None:
            return False
        if sign in ORDERED:
            return ORDERED[sign](row, values[0])
        return (row in values) == (sign == "=")

    assert table.filter(as_filter([condition]))[column].to_pylist() == [row for row in rows if holds(row)]


def test_several_conditions_must_all_hold() -> None:
    table = pa.table({"draw": [0, 1, 2, 3], "split": ["train", "test", "train", "train"]})
    both = [parse_condition("draw>=1"), parse_condition("split=train,validation")]
    assert table.filter(as_filter(both))["draw"].to_pylist() == [2, 3]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("mask_share", "COLUMN=VALUE"),
        ("", "COLUMN=VALUE"),
        ("mask_shares<1", "did you mean mask_share?"),
        ("members=1", "no column members"),
        ("draw=two", "'two' is not a value of int32"),
        ("draw<9999999999", "'9999999999' is not a value of int32"),
        ("draw=1,", "'' is not a value of int32"),
        ("cover>=most", "'most' is not a value of float"),
        ("at_border=perhaps", "'perhaps' is not a value of bool"),
        ("at_border<1", "at_border has no order; give = or !="),
        ("label_name>Dog", "label_name has no order"),
    ],
)
def test_a_bad_condition_is_refused_with_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_condition(text)
    assert str(refusal.value).startswith(f"--where {text!r}: ") and part in str(refusal.value)
