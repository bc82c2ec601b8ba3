import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.boxes.filters import PRESETS, first_rule_position, parse_filters
from pipeline.errors import InputError
from schemas.boxes import BOXES, FLAG_COLUMNS

side = st.floats(0, 1, width=32)
flag = st.sampled_from([-1, 0, 1])
row = st.fixed_dictionaries(
    {
        "ImageID": st.just("a"),
        "LabelName": st.sampled_from(["/m/1", "/m/2"]),
        **dict.fromkeys(("XMin", "YMin", "XMax", "YMax"), side),
        **dict.fromkeys(FLAG_COLUMNS, flag),
    }
)


def expected(box: dict[str, float], spec: str) -> bool:
    """Tell whether a rule drops a box, the plain way."""
    name, _, value = spec.partition("=")
    width, height = box["XMax"] - box["XMin"], box["YMax"] - box["YMin"]
    if name == "area":
        low, high = map(float, value.split(":"))
        return not low <= width * height <= high
    if name == "aspect":
        return max(width, height) > float(value) * min(width, height)
    if name in ("allow", "deny"):
        return (box["LabelName"] in value.split("+")) == (name == "deny")
    column = {"group_of": "IsGroupOf"}.get(name, f"Is{name.title()}")
    return box[column] == 1


@given(st.lists(row), st.permutations([*PRESETS["clean"], "occluded", "deny=/m/2", "allow=/m/1"]))
def test_the_first_rule_that_holds_drops_the_box(rows: list[dict[str, float]], specs: list[str]) -> None:
    first = first_rule_position(pa.Table.from_pylist(rows, schema=BOXES), parse_filters(tuple(specs)))
    plain = [next((i for i, spec in enumerate(specs) if expected(r, spec)), -1) for r in rows]
    assert first.tolist() == plain


def test_presets_unfold_and_repeated_rules_count_once() -> None:
    assert [rule.spec for rule in parse_filters(("area", "clean"))] == list(PRESETS["clean"])


@pytest.mark.parametrize("spec", ["size", "area=", "area=0.8:0.02", "area=a:b", "aspect=0.5", "deny=", "group_of=1"])
def test_an_unknown_rule_is_refused_with_the_list_of_rules(spec: str) -> None:
    with pytest.raises(InputError, match="area=LOW:HIGH"):
        parse_filters((spec,))
