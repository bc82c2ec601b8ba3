"""Case checks: cases -> all that is wrong with their pictures, before a model is loaded. Imports no torch.

Sources and exemplars are judged by their headers, masks in full: pixels that are damaged show when they are decoded.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np

from pbe.editing.case import Case
from pbe.editing.checks import refuse_odd_size
from pbe.editing.inputs import box_in, read_file, read_mask, read_size
from pipeline.errors import InputError
from schemas.pairs import Repaint

MOST_NAMED, NAMED_CASES = 10, 3
THREADS = 8
KEPT = 10_000
Size = tuple[int, int]  # width and height, px
ReadSize = Callable[[str, str], Size | str]
JudgeMask = Callable[[str, Size], str]


def find_faults(cases: Sequence[Case], *, repaint: Repaint = "white", compat_factor: int | None = None) -> list[str]:
    """List what is wrong with the pictures of cases, each fault once, with the cases of a table that have it.

    Args:
        repaint: what of a mask is repainted.
        compat_factor: px along a latent cell's side where sources must have sizes that diffusers takes, 0: not
            known; None: any size.
    """
    return name_cases(cases_by_fault(cases, repaint=repaint, compat_factor=compat_factor))


def cases_by_fault(
    cases: Sequence[Case], *, repaint: Repaint = "white", compat_factor: int | None = None, evaluated: bool = False
) -> dict[str, list[Case]]:
    """Find what is wrong with the pictures of cases; see `find_faults`.

    Args:
        evaluated: look also at what only evaluation reads, ground truths and masks of exemplars.

    Returns:
        By fault, the cases that have it.
    """
    # Many cases of a table may have a picture in common.
    read, judge = lru_cache(KEPT)(_read_size), lru_cache(KEPT)(partial(_judge_mask, repaint=repaint))
    with ThreadPoolExecutor(THREADS) as pool:
        look = partial(_faults_of, read=read, judge=judge, compat_factor=compat_factor, evaluated=evaluated)
        found = pool.map(look, cases)
        faulty: dict[str, list[Case]] = {}
        for case, faults in zip(cases, found, strict=True):
            for fault in faults:
                faulty.setdefault(fault, []).append(case)
    return faulty


def name_cases(faulty: Mapping[str, Sequence[Case]]) -> list[str]:
    """Write each fault as one line, with the cases of a table that have it."""
    return [f"{fault}{_cases([case.name for case in cases if case.table])}" for fault, cases in faulty.items()]


def refuse_faults(faults: Sequence[str], *, place: str) -> None:
    """Refuse cases with faults, naming the first, and how many there are.

    Args:
        place: names the table; empty: the one case is that of the flags.

    Raises:
        InputError: there is a fault.
    """
    if len(faults) == 1:
        raise InputError(faults[0])
    if faults:
        more = [f"and {len(faults) - MOST_NAMED:,} more"] if len(faults) > MOST_NAMED else []
        lines = [f"{place}: {len(faults):,} mistakes; nothing was made:", *faults[:MOST_NAMED], *more]
        raise InputError("\n  ".join(lines))


def _faults_of(
    case: Case, *, read: ReadSize, judge: JudgeMask, compat_factor: int | None, evaluated: bool
) -> list[str]:
    """Look at the pictures of a case: at each, and at what they are to each other."""
    faults, sizes = [], {}
    for what, path in case.inputs.items():
        found = read(path, what)
        if isinstance(found, str):
            faults.append(found)
        else:
            sizes[what] = found
    if evaluated:
        faults += _faults_of_evaluated(case, sizes, read=read, judge=judge)
    if "source" not in sizes:
        return faults
    width, height = sizes["source"]
    if "mask" in sizes and (fault := judge(case.inputs["mask"], (width, height))):
        faults.append(fault)
    try:
        if compat_factor is not None:
            refuse_odd_size(width, height, factor=compat_factor)
        if case.box:
            box_in(case.box, width, height)
    except InputError as error:
        faults.append(str(error))
    return faults


def _faults_of_evaluated(case: Case, sizes: Mapping[str, Size], *, read: ReadSize, judge: JudgeMask) -> list[str]:
    """Look at what only evaluation reads; a ground truth that is the source's own file has been looked at."""
    faults = []
    truth, outline = (case.evaluated.get(what) for what in ("ground truth", "exemplar mask"))
    if truth and truth != case.inputs["source"]:
        found = read(truth, "ground truth")
        if isinstance(found, str):
            faults.append(found)
        elif sizes.get("source", found) != found:
            sides = " for a source of ".join(f"{width} x {height} px" for width, height in (found, sizes["source"]))
            faults.append(f"ground truth {truth}: {sides}; make it at that size")
    if outline and "exemplar" in sizes and (fault := judge(outline, sizes["exemplar"])):
        faults.append(f"of the exemplar, {fault}")
    return faults


def _judge_mask(path: str, size: Size, *, repaint: Repaint) -> str:
    """Read the mask of a source of that size, and say what is wrong with it."""
    width, height = size
    try:
        read_mask(path, np.broadcast_to(np.uint8(0), (height, width, 3)), repaint=repaint)  # no pixel is asked for
    except InputError as error:
        return str(error)
    return ""


def _read_size(path: str, what: str) -> Size | str:
    """Read a picture's upright width and height; text: why it cannot be read."""
    try:
        return read_size(read_file(path, what), f"{what} {path}")
    except InputError as error:
        return str(error)


def _cases(names: Sequence[str]) -> str:
    """Name the cases of a fault, the first few; nothing where the case has no name of its own."""
    if not names:
        return ""
    more = f" and {len(names) - NAMED_CASES:,} more" if len(names) > NAMED_CASES else ""
    return f" (case{'s' if len(names) > 1 else ''} {', '.join(names[:NAMED_CASES])}{more})"
