"""Edit records: for each finished case of a table one file, NAME.json, that tells what its pictures are made from."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pbe.editing.case import Case
from pbe.editing.inputs import read_file
from pbe.editing.outputs import Outputs, record_name
from pipeline.errors import InputError
from schemas.shards import json_bytes

Settings = Mapping[str, Any]
Digests = Mapping[str, str]

MAX_NAMED = 3
THREADS = 8


def digest_inputs(case: Case) -> dict[str, str]:
    """Hash a case's files: 16 hex digits by what they are; those that cannot be read are left out."""
    digests = {}
    for what, path in case.inputs.items():
        try:
            digests[what] = hashlib.sha256(read_file(path, what)).hexdigest()[:16]
        except InputError:  # told where it is read to be edited; a finished case needs its inputs no more
            continue
    return digests


def write_record(outputs: Outputs, case: Case, settings: Settings, digests: Digests) -> None:
    """Say that a case is finished: all its pictures are written."""
    outputs.write_file(record_name(case), json_bytes(_record(case, settings, digests)))


def unfinished(outputs: Outputs, cases: Sequence[Case], settings: Settings, *, overwrite: bool) -> list[Case]:
    """List the cases of which a picture or the record is not there.

    Args:
        overwrite: list those, too, whose record tells of something else.

    Raises:
        InputError: a record tells of other flags, another model, or inputs that have changed since; says what.
    """
    there = set(outputs.folder.names(""))
    with ThreadPoolExecutor(THREADS) as pool:
        found = dict(zip(cases, pool.map(partial(_read, outputs, there), cases), strict=True))
        whole = [case for case in cases if found[case] is not None]
        differences = list(pool.map(lambda case: _difference(found[case], case, settings), whole))
    changed = {case: difference for case, difference in zip(whole, differences, strict=True) if difference}
    if changed and not overwrite:
        named = ", ".join(f"{case.name} ({difference})" for case, difference in list(changed.items())[:MAX_NAMED])
        raise InputError(
            f"--out {outputs.folder.url}: holds {len(changed)} cases made otherwise: {named}; give another --out, or "
            "--overwrite to make them again"
        )
    finished = {case for case in whole if case not in changed and there.issuperset(outputs.files(case))}
    return [case for case in cases if case not in finished]


def _read(outputs: Outputs, there: Collection[str], case: Case) -> Any:
    """Read a case's record; None where there is none, or what a disk left of one."""
    if record_name(case) not in there:
        return None
    try:
        return json.loads(outputs.folder.read(record_name(case)))
    except ValueError:
        return None


def _difference(found: Any, case: Case, settings: Settings) -> str:
    """Tell in what a case's record differs from what is wanted now; empty: in nothing."""
    if not isinstance(found, dict) or not all(isinstance(part, dict) for part in found.values()):
        return f"{record_name(case)} is no record of this command"
    wanted = _record(case, settings, digest_inputs(case))
    pairs = [
        f"{name} {found.get(part, {}).get(name)} -> {value}"
        for part, values in wanted.items()
        for name, value in values.items()
        if found.get(part, {}).get(name) != value
    ]
    return ", ".join(pairs)


def _record(case: Case, settings: Settings, digests: Digests) -> dict[str, dict[str, Any]]:
    told = {name: value for name, value in vars(case).items() if value != "" and name != "table"}
    return {"case": json.loads(json.dumps(told)), "settings": dict(settings), "inputs": dict(digests)}
