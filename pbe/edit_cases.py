"""Edit cases: flags or a CSV -> the cases to edit, each with a name of its own."""

import csv
import io
import re
from dataclasses import replace
from pathlib import PurePosixPath

from pbe.edit_config import Case, EditConfig, parse_scales, refuse_bad_numbers
from pbe.edit_inputs import read_file
from pipeline.errors import InputError

REQUIRED, OPTIONAL = ("source", "exemplar"), ("mask", "box", "name", "guidance", "seed")
SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}")
MAX_NAMED = 3


def single_case(config: EditConfig, *, name: str) -> Case:
    """Make the one case that the flags describe.

    Raises:
        InputError: a flag is missing.
    """
    for flag, value in (("--source", config.source), ("--exemplar", config.exemplar)):
        if not value:
            raise InputError(f"{flag}: is missing; give --source, --mask or --box, and --exemplar, or --cases")
    return _checked(
        Case(
            name=name,
            source=config.source,
            exemplar=config.exemplar,
            mask=config.mask,
            box=config.box,
            guidance=parse_scales(config.guidance),
            seeds=tuple(range(config.seed, config.seed + config.n)),
        ),
        "--mask, --box",
    )


def read_cases(config: EditConfig) -> list[Case]:
    """Read the CSV of cases.

    Raises:
        InputError: it cannot be read, a column is missing or unknown, a row lacks something, or two share a name.
    """
    path = config.cases
    if config.source or config.mask or config.box or config.exemplar:
        raise InputError("--cases and --source, --mask, --box, --exemplar: give one or the other")
    try:
        rows = list(csv.DictReader(io.StringIO(read_file(path, "--cases").decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--cases {path}: is no CSV in UTF-8 ({error})") from error
    if not rows:
        raise InputError(f"--cases {path}: has no rows below the header; columns: {', '.join(REQUIRED + OPTIONAL)}")
    columns = {column for column in rows[0] if column is not None}
    missing, unknown = set(REQUIRED) - columns, columns - {*REQUIRED, *OPTIONAL}
    if missing or unknown or not columns & {"mask", "box"}:
        wrong = f"misses {', '.join(sorted(missing))}" if missing else f"does not know {', '.join(sorted(unknown))}"
        wrong = wrong if missing or unknown else "needs mask or box"
        raise InputError(f"--cases {path}: {wrong}; columns: {', '.join(REQUIRED + OPTIONAL)}")
    cases = [_case(config, row, f"--cases {path} row {number}") for number, row in enumerate(rows, start=2)]
    names = [case.name for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"--cases {path}: several cases are named {', '.join(twice[:MAX_NAMED])}; fill a column name")
    return cases


def _case(config: EditConfig, row: dict[str | None, str | None], place: str) -> Case:
    if None in row or None in row.values():
        raise InputError(f"{place}: has another number of fields than the header")
    cells = {str(key): str(value).strip() for key, value in row.items()}
    for column in REQUIRED:
        if not cells[column]:
            raise InputError(f"{place}: {column} is empty")
    try:
        seed = int(cells.get("seed") or config.seed)
        guidance = parse_scales(cells.get("guidance") or config.guidance)
        for scale in guidance:
            refuse_bad_numbers(guidance=scale, steps=config.steps, n=config.n, seed=seed)
    except (ValueError, InputError) as error:
        raise InputError(f"{place}: {error}") from error
    given = cells.get("name", "")
    stems = [PurePosixPath(cells[column]).stem for column in REQUIRED]
    name = given or re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(stems))[:150]
    if not SAFE_NAME.fullmatch(name):
        raise InputError(f"{place}: name {name!r}: give letters, digits, and . _ - inside")
    paths = {column: _beside(config.cases, cells.get(column, "")) for column in ("source", "exemplar", "mask")}
    case = Case(name=name, box=cells.get("box", ""), guidance=guidance, seeds=(seed,), **paths)
    return _checked(replace(case, seeds=tuple(range(seed, seed + config.n))), f"{place}: mask, box")


def _beside(table: str, path: str) -> str:
    """Find a path that is relative to the table's folder."""
    if not path or "://" in path or path.startswith("/"):
        return path
    folder, slash, _ = table.rpartition("/")
    return f"{folder}{slash}{path}"


def _checked(case: Case, place: str) -> Case:
    if bool(case.mask) == bool(case.box):
        raise InputError(f"{place}: give one of the two, a mask or a box")
    return case
