"""Preflight: a bench -> all that is wrong with it, before anything is sampled. Imports no torch."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pbe.editing.case import Case
from pbe.editing.case_checks import cases_by_fault, name_cases
from pbe.evaluation.bench.cases import Bench, open_case
from pipeline.ahead import work_ahead
from pipeline.errors import InputError

THREADS = 4  # each holds the pictures of a case


def check_bench(bench: Bench, *, progress: Callable[[int], Any] = lambda cases: None) -> list[str]:
    """List what is wrong with a bench: each missing, odd or mis-sized file, names that stand twice, lines of a table.

    Headers and masks come first; then each case that they let pass is opened as a method gets it, so that pictures that
    are cut short are named, too. Grey, CMYK and any other picture that decodes to sRGB is fine.

    Args:
        progress: called with the number of cases that have been opened.

    Returns:
        One line for each fault, which names the file and the cases; see `pbe.editing.case_checks.refuse_faults`.
    """
    faulty = cases_by_fault(bench.cases, evaluated=True)
    named = {case.name for cases in faulty.values() for case in cases}
    faulty |= _damaged([case for case in bench.cases if case.name not in named], progress)
    return [*bench.faults, *_names_twice(bench), *name_cases(faulty)]


def _damaged(cases: Sequence[Case], progress: Callable[[int], Any]) -> dict[str, list[Case]]:
    """Open cases: those that cannot be, by why."""

    def fault_of(case: Case) -> str:
        try:
            open_case(case)
        except InputError as error:
            return str(error)
        return ""

    faulty: dict[str, list[Case]] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        found = work_ahead(pool, fault_of, cases, ahead=THREADS)
        for done, (case, fault) in enumerate(zip(cases, found, strict=True), start=1):
            progress(done)
            if fault:
                faulty.setdefault(fault, []).append(case)
    return faulty


def _names_twice(bench: Bench) -> list[str]:
    """Name the cases that would share files, also on a disk that ignores case."""
    names: dict[str, list[str]] = {}
    for case in bench.cases:
        names.setdefault(case.name.casefold(), []).append(case.name)
    return [
        f"bench {bench.name}: {len(same)} cases are named {' and '.join(Counter(same))}; list each once, under its own "
        "name"
        for same in names.values()
        if len(same) > 1
    ]
