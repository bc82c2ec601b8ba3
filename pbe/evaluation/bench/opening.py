"""Opening: --bench -> a Bench: a folder in COCOEE's layout, a table of cases, or a bench cut from a dataset."""

from dataclasses import replace
from pathlib import PurePosixPath

from pbe.editing.case_table import read_case_table
from pbe.evaluation.bench.annotations import label_cases
from pbe.evaluation.bench.cases import GUIDANCE, Bench, seed_of_case
from pbe.evaluation.bench.cocoee import list_cocoee
from pbe.evaluation.bench.cut_note import TABLE, read_note
from pbe.evaluation.bench.limits import choose, refuse_bad_limit
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute

FULL_COCOEE = 3500
TABLE_SUFFIX = ".csv"


def open_bench(bench: str, *, annotations: str = "", limit: int = 0, seed: int = 0) -> Bench:
    """List the cases of a bench; see `check_bench` for what may be wrong with their pictures.

    Args:
        bench: a folder in COCOEE's layout, or the CSV of a table of `pbe.edit`.
        annotations: instances of COCO, by which cases of a folder get their labels; see `label_cases`.
        limit: take a seeded choice of that many cases; 0: all.
        seed: of the choice, and of each case that has no seed of its own.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    refuse_bad_limit(limit)
    if not bench:
        raise InputError("--bench: is empty; give a folder in COCOEE's layout, or the CSV of a table of cases")
    if PurePosixPath(bench).suffix.lower() != TABLE_SUFFIX:
        return _open_folder(bench, annotations=annotations, limit=limit, seed=seed)
    if annotations:
        raise InputError(f"--annotations {annotations}: goes with a folder of COCOEE; fill the table's column label")
    return limited(_open_table(bench, seed=seed), limit=limit, seed=seed)


def limited(bench: Bench, *, limit: int, seed: int) -> Bench:
    """Take a seeded choice of a bench's cases, in their order."""
    chosen = choose([case.name for case in bench.cases], limit=limit, seed=seed)
    if len(chosen) == len(bench.cases):
        return bench
    whole = bench.subset_of or len(bench.cases)
    return replace(bench, cases=tuple(bench.cases[number] for number in chosen), subset_of=whole)


def _open_folder(url: str, *, annotations: str, limit: int, seed: int) -> Bench:
    listed = list_cocoee(url, seed=seed)
    name = "COCOEE" if len(listed.cases) == FULL_COCOEE else PurePosixPath(absolute(url)).name
    bench = limited(Bench(name, "cocoee", listed.cases, notes=listed.notes), limit=limit, seed=seed)
    if not annotations:
        return bench
    cases, note = label_cases(bench.cases, annotations, ids=listed.ids)
    return replace(bench, cases=cases, notes=(*bench.notes, note))


def _open_table(path: str, *, seed: int) -> Bench:
    cases, faults = read_case_table(
        path, flag="--bench", guidance=GUIDANCE, seed_of=lambda name: seed_of_case(seed, name), n=1
    )
    bench = Bench(PurePosixPath(absolute(path)).stem, "cases", tuple(cases), faults=tuple(faults))
    folder, _, name = absolute(path).rpartition("/")
    note = read_note(Folder(folder)) if name == TABLE else None
    if note is None:
        return bench
    if not note.finished:
        raise InputError(f"--bench {path}: was not cut to its end; run the command that cuts it again")
    return replace(
        bench,
        name=note.name,
        kind="cut",
        banners=note.banners,
        notes=note.notes,
        shares_exemplar=note.shares_exemplar,
        subset_of=note.subset_of,
    )
