"""Case table: flags or a CSV -> the cases to edit, each with a name of its own."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from pbe.editing.case import Case
from pbe.editing.config import EditConfig, parse_scales, refuse_bad_numbers
from pbe.editing.inputs import parse_box, read_file
from pipeline.errors import InputError
from pipeline.storage.urls import filesystem

REQUIRED, OPTIONAL = ("source", "exemplar"), ("mask", "box", "name", "guidance", "seed")
EVALUATED = ("ground_truth", "label", "exemplar_mask")  # what pbe.edit passes over
SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}")
Row = dict[str | None, str | None]


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


def read_cases(config: EditConfig) -> tuple[list[Case], list[str]]:
    """Read the CSV of cases.

    Returns:
        The cases, and what is wrong with the other rows, each by its line.

    Raises:
        InputError: it cannot be read, a column is missing or unknown, or there is no row.
    """
    if config.source or config.mask or config.box or config.exemplar:
        raise InputError("--cases and --source, --mask, --box, --exemplar: give one or the other")
    return read_case_table(
        config.cases, flag="--cases", guidance=config.guidance, seed_of=lambda name: config.seed, n=config.n
    )


def read_case_table(
    path: str, *, flag: str, guidance: str, seed_of: Callable[[str], int], n: int
) -> tuple[list[Case], list[str]]:
    """Read the CSV of cases; see `read_cases`.

    Args:
        flag: that names the CSV.
        guidance: of cases for which the table says none, as the flag has it.
        seed_of: the first seed of a case, by its name, for which the table says none.
        n: seeds of a case.
    """
    columns, rows = _read_table(path, flag)
    allowed = REQUIRED + OPTIONAL + EVALUATED
    missing, unknown = set(REQUIRED) - set(columns), set(columns) - set(allowed)
    known = f"columns: {', '.join(allowed)}"
    if missing or unknown:
        wrong = f"lacks {', '.join(sorted(missing))}" if missing else f"has unknown {', '.join(sorted(unknown))}"
        raise InputError(f"{flag} {path}: {wrong}; {known}")
    if not {"mask", "box"} & set(columns):
        raise InputError(f"{flag} {path}: needs mask or box; {known}")
    if len(set(columns)) < len(columns):
        raise InputError(f"{flag} {path}: names a column twice; {known}")
    if not rows:
        raise InputError(f"{flag} {path}: has no rows below the header; {known}")
    cases, faults = [], []
    for line, row in rows:
        try:
            cases.append(_case(path, row, guidance=guidance, seed_of=seed_of, n=n))
        except InputError as error:
            faults.append(f"{flag} {path} line {line}: {error}")
    return cases, faults


def _read_table(path: str, flag: str) -> tuple[list[str], list[tuple[int, Row]]]:
    """Read a CSV's columns, and its rows with the line at which each ends; a column without a name is passed over."""
    try:
        reader = csv.DictReader(io.StringIO(read_file(path, flag).decode("utf-8-sig"), newline=""), strict=True)
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{flag} {path}: is not a CSV in UTF-8 ({error})") from error
    return [name for name in columns if name], rows


def _case(path: str, row: Row, *, guidance: str, seed_of: Callable[[str], int], n: int) -> Case:
    """Read a row.

    Raises:
        InputError: what is wrong with it.
    """
    if None in row or None in row.values():
        raise InputError("has another number of fields than the header")
    cells = {str(key): str(value).strip() for key, value in row.items()}
    for column in REQUIRED:
        if not cells[column]:
            raise InputError(f"{column} is empty")
    stems = [PurePosixPath(cells[column]).stem for column in REQUIRED]
    name = cells.get("name") or re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(stems))[:150]
    if not SAFE_NAME.fullmatch(name):
        raise InputError(f"name {name!r}: give letters, digits, and . _ - inside")
    given = {column: cells.get(column, "") for column in ("source", "exemplar", "mask", "box", *EVALUATED)}
    seed = _whole_number("seed", cells.get("seed") or str(seed_of(name)))
    scales = parse_scales(cells.get("guidance") or guidance)
    for scale in scales:
        refuse_bad_numbers(guidance=scale, steps=1, n=n, seed=seed)
    seeds = tuple(range(seed, seed + n))
    case = _checked(Case(name=name, guidance=scales, seeds=seeds, table=path, **given), "mask, box")
    for url in case.inputs.values():
        filesystem(url)
    return case


def _whole_number(what: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{what} {text}: give a whole number") from error


def _checked(case: Case, flags: str) -> Case:
    """Refuse a case with both a mask and a box, with neither, or with a box that is none."""
    if bool(case.mask) == bool(case.box):
        raise InputError(f"{flags}: give one of the two")
    if case.box:
        parse_box(case.box)
    return case
