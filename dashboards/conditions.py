"""Conditions: `--where "label_name=Dog,Cat"` -> an expression over the columns of a sample."""

import csv
import difflib
import functools
import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dashboards.quality import QUALITY
from pipeline.errors import InputError
from schemas.samples import INDEX

_FORM = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Condition:
    """A condition on one column; of several values any may hold, with `!=` none."""

    column: str
    operator: str  # = != < <= > >=
    values: tuple[Any, ...]


def is_scalar(field: pa.Field) -> bool:
    """Whether a column holds one value a row."""
    return not pa.types.is_nested(field.type)


COLUMNS = {field.name: field.type for field in (*INDEX, *QUALITY) if is_scalar(field)}


def parse_condition(text: str) -> Condition:
    """Read a condition: column, operator, value; after = and != several values with commas between them.

    A value that holds a comma stands in double quotes.

    Raises:
        InputError: naming what is wrong, and the columns.
    """
    form = _FORM.fullmatch(text)
    if not form:
        raise InputError(f"--where {text!r}: write COLUMN=VALUE[,VALUE], or != < <= > >=, as in mask_share<0.1")
    column, sign, written = form[1], form[2], form[3].strip()
    if column not in COLUMNS:
        close = difflib.get_close_matches(column, COLUMNS, n=1)
        hint = f"did you mean {close[0]}? There are" if close else "there are"
        raise InputError(f"--where {text!r}: no column {column}; {hint} {', '.join(COLUMNS)}")
    several = sign in ("=", "!=")
    parts = next(csv.reader([written], skipinitialspace=True), [""]) if several else [written]
    kind = COLUMNS[column]
    ordered = not (pa.types.is_boolean(kind) or pa.types.is_string(kind))
    if not several and not ordered:
        raise InputError(f"--where {text!r}: {column} has no order; give = or !=")
    return Condition(column, sign, tuple(_value(part.strip(), kind, text) for part in parts))


def as_filter(conditions: Sequence[Condition]) -> Any:
    """Make one pyarrow expression that holds where all conditions do; a missing value meets none.

    Args:
        conditions: at least one.
    """
    return functools.reduce(operator.and_, map(_expression, conditions))


def _expression(condition: Condition) -> Any:
    column, kind = pc.field(condition.column), COLUMNS[condition.column]
    if condition.operator in _COMPARISONS:
        return _COMPARISONS[condition.operator](column, pc.scalar(pa.scalar(condition.values[0], kind)))
    among = column.isin(pa.array(condition.values, kind))
    return column.is_valid() & (among if condition.operator == "=" else ~among)


def _value(written: str, kind: pa.DataType, text: str) -> Any:
    """Turn a written value into the column's type."""
    try:
        if pa.types.is_boolean(kind):
            return _TRUTHS[written.lower()]
        if pa.types.is_integer(kind):
            return pa.scalar(int(written), kind).as_py()  # which refuses what is too large
        if pa.types.is_floating(kind):
            number = float(written)
            if math.isnan(number):
                raise ValueError("nothing compares to it")
            return number
    except (ValueError, KeyError, OverflowError) as error:
        raise InputError(f"--where {text!r}: {written!r} is not a value of {kind}") from error
    return written
