"""Attempts: a method and a few cases -> pictures of each, or why there are none. Whatever a method raises fails its
case alone, never the run. Imports no torch.
"""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.checks import check_pictures
from pbe.evaluation.methods.protocol import CaseError, Method, facts_of
from pipeline.arrays import Pixels
from pipeline.errors import InputError

Attempt = dict[str, Pixels] | CaseError
"""The pictures of a case by variant, in the method's order; or why there are none."""
RAISED = (Exception, SystemExit)
"""What a method may raise without ending the run; Ctrl-C is not among it."""


def why_not(method: Method) -> str:
    """Ask a method why it cannot run; empty: it can. What it raises, or says in another form, is a reason, too."""
    try:
        with own_folder():
            reason = method.available()
    except RAISED as error:
        return f"its available() raises {_one_line(error)}"
    return reason if isinstance(reason, str) else f"its available() gives {reason!r}, not a text"


def edit_cases(method: Method, cases: Sequence[OpenedCase]) -> list[Attempt]:
    """Have a method edit cases, all at once; where that fails, one by one.

    It gets copies, so that one that paints into its inputs changes no case.

    Returns:
        By case, pictures that `check_pictures` has passed, or a CaseError. Its `log` holds the traceback of what the
        method raised; empty: it raised nothing, or said in its own words what is wrong.
    """
    variants = facts_of(method).variants
    try:
        with own_folder():
            edited = list(method.edit([_copy(case) for case in cases]))
    except RAISED as error:
        if len(cases) == 1:
            return [_failure(error)]
        edited = []
    if len(edited) != len(cases):
        if len(cases) == 1:
            return [CaseError(f"gives {len(edited)} results for one case")]
        _free_memory()
        return [attempt for case in cases for attempt in edit_cases(method, [case])]
    return [_check(given, case, variants) for given, case in zip(edited, cases, strict=True)]


@contextmanager
def own_folder() -> Iterator[None]:
    """Come back to the working folder, from which paths are read, whatever a method goes to."""
    here = os.open(".", os.O_RDONLY)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _check(edited: object, case: OpenedCase, variants: Sequence[str]) -> Attempt:
    try:
        return check_pictures(edited, case, variants)
    except CaseError as error:
        return error


def _failure(error: BaseException) -> CaseError:
    if isinstance(error, CaseError):
        return error
    if isinstance(error, InputError):  # says in its own words what is wrong and what to do
        return CaseError(str(error))
    return CaseError(_one_line(error), log="".join(traceback.format_exception(error)))


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _copy(case: OpenedCase) -> OpenedCase:
    arrays = ("source", "mask", "exemplar", "exemplar_mask", "ground_truth")
    return replace(case, **{name: array.copy() for name in arrays if (array := getattr(case, name)) is not None})


def _free_memory() -> None:
    """Give what an attempt left on the GPU back, if torch is loaded and has one."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()
