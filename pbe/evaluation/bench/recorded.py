"""Recorded: a bench -> bench.parquet, and back to its cases' pictures where they are still what was evaluated.

Imports no torch. A record may come from anywhere: a picture is opened only where its digest proves that it is the one.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pbe.editing.case import Case
from pbe.editing.inputs import box_mask, read_file, read_mask, read_picture, read_size
from pbe.editing.records import digest_input
from pbe.evaluation.bench.cases import Bench
from pipeline.arrays import Hole, Pixels
from pipeline.errors import InputError
from pipeline.storage.tables import table_from
from pipeline.storage.urls import absolute, is_local
from schemas.scores import BENCH, BENCH_CASES

T = TypeVar("T")


@dataclass(frozen=True)
class RecordedCase:
    """A case of an evaluation.

    Args:
        case: with absolute paths.
        digests: 16 hex digits of the sha256 of each file, by what it is.
    """

    case: Case
    digests: Mapping[str, str]


@dataclass(frozen=True)
class CaseInputs:
    """What a case shows, as far as it is still there and unchanged: [h, w, 3] uint8 RGB.

    Args:
        mask: [h, w] bool, True = repaint, in the source's size.
        absent: why a picture is None, by what it is.
    """

    source: Pixels | None
    mask: Hole | None
    exemplar: Pixels | None
    ground_truth: Pixels | None
    absent: Mapping[str, str]


def cases_table(bench: Bench, digests: Mapping[str, Mapping[str, str]]) -> bytes:
    """Write the cases of a bench as Parquet.

    Args:
        digests: by case, by what a file is.
    """
    rows = [
        {
            "case": case.name,
            "box": case.box,
            "label": case.label,
            "seed": case.seeds[0],
            **{_column(what): absolute(path) for what, path in files_of(case).items()},
            "digests": list(digests[case.name].items()),
        }
        for case in bench.cases
    ]
    empty = dict.fromkeys(BENCH_CASES.names, "")
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{**empty, **row} for row in rows], BENCH_CASES), out)
    return out.getvalue()


def files_of(case: Case) -> dict[str, str]:
    """Return the paths of all files of a case, by what they are."""
    return {**case.inputs, **case.evaluated}


def read_recorded(content: bytes, place: str) -> list[RecordedCase]:
    """Read the cases of an evaluation.

    Args:
        place: names it in errors.

    Raises:
        InputError: it is damaged, or not such a table.
    """
    try:
        rows = table_from(content, BENCH_CASES.names).cast(BENCH_CASES).to_pylist()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{place}: is not the {BENCH} of an evaluation ({error}); run pbe.evaluate again") from error
    return [RecordedCase(_case(row), dict(row["digests"])) for row in rows]


def _column(what: str) -> str:
    return what.replace(" ", "_")


def _case(row: Mapping[str, Any]) -> Case:
    texts = {
        what: row[what] for what in ("source", "exemplar", "mask", "box", "ground_truth", "exemplar_mask", "label")
    }
    return Case(name=row["case"], seeds=(row["seed"],), **texts)


def open_recorded(recorded: RecordedCase) -> CaseInputs:
    """Read a case's pictures where they are still the files that were evaluated."""
    case, absent = recorded.case, dict[str, str]()
    files = files_of(case)

    def read(what: str, reading: Callable[[str], T]) -> T | None:
        """Read one of them, or note why not."""
        try:
            path = files.get(what, "")
            _refuse_changed(what, path, recorded.digests.get(what, ""))
            return reading(path)
        except InputError as error:
            absent[what] = str(error)
            return None

    source = read("source", lambda path: read_picture(path, "source"))
    mask = None
    if source is None:
        absent["mask"] = "belongs to a source that is not there"
    elif case.mask:
        mask = read("mask", lambda path: read_mask(path, source))
    else:
        try:
            mask = box_mask(case.box, source)
        except InputError as error:
            absent["mask"] = str(error)
    exemplar = read("exemplar", lambda path: read_picture(path, "exemplar"))
    ground_truth = read("ground truth", lambda path: read_picture(path, "ground truth"))
    return CaseInputs(source, mask, exemplar, ground_truth, absent)


def sizes_of(recorded: RecordedCase) -> dict[str, tuple[int, int]]:
    """Read width and height in px of a case's pictures from their headers: of those that `open_recorded` would open."""
    sizes = {}
    for what, path in files_of(recorded.case).items():
        try:
            _refuse_changed(what, path, recorded.digests.get(what, ""))
            sizes[what] = read_size(read_file(path, what), f"{what} {path}")
        except InputError:  # said where the picture is asked for
            continue
    return sizes


def _refuse_changed(what: str, path: str, digest: str) -> None:
    """Refuse a file that is elsewhere, gone, or another than the one that was evaluated.

    Raises:
        InputError: which, and what to do.
    """
    if not path:
        raise InputError(f"{what}: the bench has none")
    if not is_local(path):
        raise InputError(f"{what} {path}: is not local; copy the bench here, and evaluate again")
    if digest_input(path, what) != digest:
        raise InputError(f"{what} {path}: is not the file that was evaluated")
