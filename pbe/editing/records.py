"""Records: a finished case of a table -> NAME.json, what its pictures are made from; and back, to go on."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pbe.editing.case import Case
from pbe.editing.case_table import EVALUATED
from pbe.editing.config import EditConfig
from pbe.editing.inputs import read_file
from pbe.editing.outputs import Outputs, record_name
from pipeline.errors import InputError
from pipeline.storage.redaction import redact
from pipeline.storage.urls import absolute, is_local
from schemas.shards import json_bytes

Settings = Mapping[str, Any]
Digests = Mapping[str, str]

# What records did not hold when there was no choice. Then a hole took 1/8 to 1/2 of what the model saw.
ONCE_IMPLIED = {"settings": {"repaint": "white", "prediction": "epsilon", "context": "of before"}}
UNRECORDED = ("table", *EVALUATED)  # of a case: another of these does not make other pictures
MAX_NAMED = 3
THREADS = 8


def digest_inputs(case: Case) -> dict[str, str]:
    """Hash a case's files: 16 hex digits by what they are; those that cannot be read are left out."""
    digests = {}
    for what, path in case.inputs.items():
        try:
            digests[what] = digest_input(path, what)
        except InputError:  # reported where it is read to be edited; a finished case no longer needs its inputs
            continue
    return digests


def digest_input(path: str, what: str) -> str:
    """Hash a file: 16 hex digits.

    Raises:
        InputError: it cannot be read.
    """
    return hashlib.sha256(read_file(path, what)).hexdigest()[:16]


def write_record(
    outputs: Outputs, case: Case, settings: Settings, digests: Digests, *, model_note: Mapping[str, Any]
) -> None:
    """Record that a case is finished: all its pictures are written.

    Args:
        model_note: of the model's export; see pbe.weights.own_note. With the table's place it is for readers: neither
            makes a case another one.
    """
    lineage = {"table": _table_place(outputs, case), **{name: model_note.get(name) for name in ("weights", "step")}}
    outputs.write_file(record_name(case), json_bytes({**_record(case, settings, digests), "lineage": lineage}))


def settings_of_flags(config: EditConfig) -> dict[str, Any]:
    """The settings of a record that are known before the model is."""
    settings = {name: getattr(config, name) for name in ("steps", "scheduler", "compat", "batch", "repaint")}
    crop = {} if config.compat else {"context": config.context}  # diffusers' pipeline sees the complete source
    return {**settings, "blend": config.how, **crop}


def refuse_changes(outputs: Outputs, cases: Sequence[Case], config: EditConfig) -> list[Case]:
    """Refuse, before the model is loaded, a folder whose finished cases were made with other flags or inputs.

    Returns:
        The cases that are not finished, as far as it is known before the model is.

    Raises:
        InputError: naming cases, flags and inputs.
    """
    return unfinished(outputs, cases, settings_of_flags(config), overwrite=config.overwrite)


def unfinished(outputs: Outputs, cases: Sequence[Case], settings: Settings, *, overwrite: bool) -> list[Case]:
    """List the cases of which a picture or the record is missing.

    Args:
        settings: those that are compared.
        overwrite: list those, too, that were made with something else.

    Raises:
        InputError: cases were made with other flags, another model, or inputs that have changed since; says which.
    """
    recorded = _finished(outputs, cases)
    changed = _changes(outputs, recorded, lambda case: _record(case, settings, digest_inputs(case)))
    if changed and not overwrite:
        raise _made_otherwise(outputs, changed)
    there = set(outputs.folder.names(""))
    finished = {case for case in recorded if case not in changed and there.issuperset(outputs.files(case))}
    return [case for case in cases if case not in finished]


def _finished(outputs: Outputs, cases: Sequence[Case]) -> dict[Case, Any]:
    """Read the records that are there."""
    there = set(outputs.folder.names(""))
    with ThreadPoolExecutor(THREADS) as pool:
        records = pool.map(partial(_read, outputs, there), cases)
        return {case: record for case, record in zip(cases, records, strict=True) if record is not None}


def _changes(
    outputs: Outputs, recorded: Mapping[Case, Any], wanted: Callable[[Case], Mapping[str, Mapping[str, Any]]]
) -> dict[Case, str]:
    """Compare records with what is wanted now: the cases that differ, each with how."""
    with ThreadPoolExecutor(THREADS) as pool:
        differences = pool.map(lambda case: _difference(recorded[case], wanted(case), record_name(case)), recorded)
        return {case: difference for case, difference in zip(recorded, differences, strict=True) if difference}


def _made_otherwise(outputs: Outputs, changed: Mapping[Case, str]) -> InputError:
    named = ", ".join(f"{case.name} ({difference})" for case, difference in list(changed.items())[:MAX_NAMED])
    return InputError(
        f"--out {outputs.folder.url}: holds {len(changed)} cases made otherwise: {named}; give another --out, or "
        "--overwrite to make them again"
    )


def _read(outputs: Outputs, there: Collection[str], case: Case) -> Any:
    """Read a case's record; None: there is none, or a torn one."""
    if record_name(case) not in there:
        return None
    try:
        return json.loads(outputs.folder.read(record_name(case)))
    except ValueError:
        return None


def _difference(recorded: Any, wanted: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Describe in what a record differs from what is wanted now; empty: in nothing."""
    if not isinstance(recorded, dict) or not all(isinstance(part, dict) for part in recorded.values()):
        return f"{name} is not a record of this command"
    before = {part: {**ONCE_IMPLIED.get(part, {}), **values} for part, values in recorded.items()}
    pairs = [
        f"{field} {before.get(part, {}).get(field)} -> {value}"
        for part, values in wanted.items()
        for field, value in values.items()
        if before.get(part, {}).get(field) != value
    ]
    return ", ".join(pairs)


def _table_place(outputs: Outputs, case: Case) -> str:
    """The table as seen from the output folder, so that both can move together; its URL where one of them is remote."""
    if outputs.folder.local and is_local(case.table):
        return os.path.relpath(Path(absolute(case.table)).resolve(), Path(outputs.folder.path("")).resolve())
    return redact(absolute(case.table))


def _record(case: Case, settings: Settings, digests: Digests) -> dict[str, dict[str, Any]]:
    fields = {name: value for name, value in vars(case).items() if value != "" and name not in UNRECORDED}
    return {"case": json.loads(json.dumps(fields)), "settings": dict(settings), "inputs": dict(digests)}
