"""Finished: NAME.json of `pbe.edit --cases` -> the case, and what its pictures were made with. Imports no torch.

A record may come from anywhere: names are checked as those of a table are, and lead nowhere but into its own folder.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbe.editing.case import Case
from pbe.editing.case_table import SAFE_NAME
from pbe.editing.config import MAX_SCALES, refuse_bad_numbers
from pbe.editing.inputs import parse_box
from pbe.editing.outputs import record_name
from pipeline.errors import InputError

MAX_SEEDS = 1000


@dataclass(frozen=True)
class Finished:
    """A finished case.

    Args:
        case: without the place of its table.
        settings: steps, scheduler, resolution ...; `weights` is 16 hex digits of the model's.
        digests: 16 hex digits of the sha256 of each input file, by what it is.
        lineage: `table`, as seen from the folder of the record, or a URL; `weights` (raw, ema) and `step` of the
            training that made the model. What is not known is None or missing.
    """

    case: Case
    settings: Mapping[str, Any]
    digests: Mapping[str, str]
    lineage: Mapping[str, Any]


def read_finished(content: bytes, name: str) -> Finished:
    """Read a record.

    Args:
        name: of its file.

    Raises:
        InputError: it is torn, or no record of an edit.
    """
    try:
        record = json.loads(content)
        case = _case(record["case"])
        settings, digests = (_object(record[part]) for part in ("settings", "inputs"))
        lineage = _object(record.get("lineage", {}))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
        raise InputError(f"{name}: is not a record of pbe.edit --cases ({error}); make the case again") from error
    if record_name(case) != name:
        raise InputError(f"{name}: is the record of {case.name}; give it back its name")
    return Finished(case, settings, {what: str(digest) for what, digest in digests.items()}, lineage)


def _case(fields: Any) -> Case:
    """Check the fields of a case.

    Raises:
        InputError: a value is not one that a table could have given.
        KeyError: a field is missing.
        TypeError: there is a field too many.
    """
    texts = {field: fields[field] for field in ("name", "source", "exemplar")}
    texts |= {field: fields.get(field, "") for field in ("mask", "box")}
    if not all(isinstance(text, str) for text in texts.values()) or not SAFE_NAME.fullmatch(texts["name"]):
        raise InputError(f"name {texts['name']!r}, or a path, is none")
    guidance, seeds = _numbers(fields["guidance"], (int, float)), _numbers(fields["seeds"], (int,))
    if not 1 <= len(guidance) <= MAX_SCALES or not 1 <= len(seeds) <= MAX_SEEDS:
        raise InputError(f"{len(guidance)} guidance scales and {len(seeds)} seeds")
    for scale in guidance:
        for seed in seeds:
            refuse_bad_numbers(guidance=scale, steps=1, n=1, seed=seed)
    if bool(texts["mask"]) == bool(texts["box"]):
        raise InputError("one of mask and box should be there")
    if texts["box"]:
        parse_box(texts["box"])
    return Case(**texts, guidance=guidance, seeds=seeds)


def _numbers(values: Any, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Check a list of numbers; JSON's true is none."""
    if not isinstance(values, list) or not all(type(value) in kinds for value in values):
        raise InputError(f"{str(values)[:80]}: is no list of numbers")
    return tuple(values)


def _object(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise InputError(f"{str(part)[:80]}: is no object")
    return part
