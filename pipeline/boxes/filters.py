"""Filter boxes: BOXES -> the first rule that drops each row.

A rule is one vectorised expression over the table's own columns; unknown flags (-1) never drop a box.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import InputError
from schemas.boxes import COORDINATE_COLUMNS, LABEL_COLUMN

Drops = Callable[[pa.Table], NDArray[np.bool_]]

# area: section 4.1 of Paint by Example. clean: what a careful team would add to it.
PRESETS = {
    "area": ("area=0.02:0.8",),
    "clean": ("area=0.02:0.8", "group_of", "depiction", "inside", "truncated", "aspect=4"),
}

_FLAG_RULES = {
    "group_of": "IsGroupOf",
    "depiction": "IsDepiction",
    "inside": "IsInside",
    "truncated": "IsTruncated",
    "occluded": "IsOccluded",
}


@dataclass(frozen=True)
class Rule:
    """A named filter rule; `spec` is how the user writes it, `drops` marks the rows that it drops."""

    name: str
    spec: str
    drops: Drops


def parse_filters(specs: tuple[str, ...]) -> list[Rule]:
    """Read `--filters`: presets and rules, in order; a rule given twice counts once.

    Raises:
        InputError: naming the rule and what is allowed.
    """
    flat = [rule for spec in specs for rule in PRESETS.get(spec, (spec,))]
    return [_parse_rule(spec) for spec in dict.fromkeys(flat)]


def first_rule_position(boxes: pa.Table, rules: list[Rule]) -> NDArray[np.int8]:
    """Find the rule that drops each box.

    Returns:
        [n] position of the first rule that drops the row, or -1.
    """
    first = np.full(len(boxes), -1, np.int8)
    for position in reversed(range(len(rules))):
        first[rules[position].drops(boxes)] = position
    return first


def _parse_rule(spec: str) -> Rule:
    name, _, value = spec.partition("=")
    if name in _FLAG_RULES and not value:
        return Rule(name, spec, _flag_rule(_FLAG_RULES[name]))
    try:
        if name == "area":
            low, high = (float(part) for part in value.split(":"))
            if 0 <= low < high <= 1:
                return Rule(name, spec, _area_rule(low, high))
        if name == "aspect" and float(value) >= 1:
            return Rule(name, spec, _aspect_rule(float(value)))
    except ValueError:
        pass  # falls to the one error below, which says how the rule is written
    if name in ("allow", "deny") and value:
        return Rule(name, spec, _label_rule(value.split("+"), deny=name == "deny"))
    raise InputError(
        f"--filters {spec}: unknown rule; give the presets {', '.join(PRESETS)} or the rules area=LOW:HIGH "
        f"(0 <= LOW < HIGH <= 1), aspect=MAX (from 1), {', '.join(_FLAG_RULES)}, allow=LABEL+LABEL, deny=LABEL+LABEL"
    )


def _sides(boxes: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the relative width and height of each box, cut to the photo."""
    x_min, y_min, x_max, y_max = (np.clip(boxes[name].to_numpy(), 0, 1) for name in COORDINATE_COLUMNS)
    return x_max - x_min, y_max - y_min


def _area_rule(low: float, high: float) -> Drops:
    def drops(boxes: pa.Table) -> NDArray[np.bool_]:
        width, height = _sides(boxes)
        return ~((width * height >= low) & (width * height <= high))

    return drops


def _aspect_rule(limit: float) -> Drops:
    def drops(boxes: pa.Table) -> NDArray[np.bool_]:
        width, height = _sides(boxes)
        return np.maximum(width, height) > limit * np.minimum(width, height)

    return drops


def _flag_rule(column: str) -> Drops:
    return lambda boxes: boxes[column].to_numpy() == 1


def _label_rule(labels: list[str], *, deny: bool) -> Drops:
    def drops(boxes: pa.Table) -> NDArray[np.bool_]:
        listed: NDArray[np.bool_] = pc.is_in(boxes[LABEL_COLUMN], value_set=pa.array(labels)).to_numpy()
        return listed if deny else ~listed

    return drops
