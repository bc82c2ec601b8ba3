"""Preflight: a bench -> all that is wrong with it, before anything is sampled. Imports no torch."""

from collections import Counter

from pbe.editing.case_checks import find_faults
from pbe.evaluation.bench.cases import Bench


def check_bench(bench: Bench) -> list[str]:
    """List what is wrong with a bench: each missing, odd or mis-sized file, names that stand twice, lines of a table.

    Masks are judged in full, other pictures by their headers. Grey, CMYK and any other picture that decodes to sRGB is
    fine.

    Returns:
        One line for each fault, which names the file and the cases; see `pbe.editing.case_checks.refuse_faults`.
    """
    return [*bench.faults, *_names_twice(bench), *find_faults(bench.cases, evaluated=True)]


def _names_twice(bench: Bench) -> list[str]:
    """Name the cases that would share files, also on a disk that ignores case."""
    names: dict[str, list[str]] = {}
    for case in bench.cases:
        names.setdefault(case.name.casefold(), []).append(case.name)
    return [
        f"{bench.name}: {len(same)} cases are named {' and '.join(Counter(same))}; list each once, under its own name"
        for same in names.values()
        if len(same) > 1
    ]
