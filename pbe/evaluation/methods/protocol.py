"""Protocol: opened cases -> pictures. What every method of a comparison is, ours and a stranger's. Imports no torch.

The smallest method:

    class Grey:
        name = "grey"

        def available(self) -> str:
            return ""

        def edit(self, cases):
            return [np.where(case.mask[..., None], np.uint8(128), case.source) for case in cases]
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pbe.evaluation.bench.cases import OpenedCase
from pipeline.arrays import Pixels
from pipeline.errors import InputError


class CaseError(Exception):
    """A case has no picture by a method: it cannot edit it, such as a text method one without a label, or it failed.

    Args:
        log: for the run's log, not the table: the traceback of what the method raised; empty: it raised nothing.
    """

    def __init__(self, reason: str, *, log: str = "") -> None:
        super().__init__(reason)
        self.log = log


Edited = Pixels | Mapping[str, Pixels] | CaseError
"""A picture [h, w, 3] uint8 in the source's size; one by variant, for methods with variants; or why there is none."""


@runtime_checkable
class Method(Protocol):
    """What edits cases.

    It may also have (see `facts_of`):

        variants: names of several pictures of each case, which then come as a mapping; each becomes a row.
        takes_guidance: whether `case.guidance` changes its pictures; each scale becomes a row then.
        notes: what a reader of the table must know, such as `untrained weights`.
        settings: what decides its pictures besides the case, such as a digest of its weights; JSON. Pictures made with
            other settings are not taken for its own.
        needs: what a case must have: `label` or `ground_truth`. On a bench of which no case has it, it cannot run.
        begin(bench): called once in each process before the first `edit`, with the whole `Bench`, for methods that edit
            a case by what the others are. Cheap: it opens no picture.
        end(): called after the last `edit`: lets go of the weights, for which the next method needs the memory.
    """

    name: str

    def available(self) -> str:
        """Say why it cannot run here, such as weights that are missing; empty: it can. Cheap: loads nothing."""

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        """Edit a few cases, which share no picture: as many results in the same order.

        What a case becomes must not depend on the cases beside it, rounding aside. Weights are loaded at the first
        call. An exception is counted against each case that raises it alone.
        """


@dataclass(frozen=True)
class MethodFacts:
    """What a method may say of itself, with what it did not say filled in."""

    variants: tuple[str, ...] = ("",)
    takes_guidance: bool = False
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None
    needs: tuple[str, ...] = ()


def facts_of(method: Method) -> MethodFacts:
    """Read a method's optional attributes; one that is None counts as left out.

    Raises:
        InputError: one of them is of another kind; says which.
    """
    texts = {what: _texts(method, what) for what in ("variants", "notes", "needs")}
    settings = getattr(method, "settings", None) or {}
    try:
        settings = json.loads(json.dumps(dict(settings), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"{method.name}: its settings are no JSON object ({error}); give numbers and texts") from error
    return MethodFacts(
        variants=texts["variants"] or ("",),
        takes_guidance=bool(getattr(method, "takes_guidance", False)),
        notes=texts["notes"],
        settings=settings,
        needs=texts["needs"],
    )


def _texts(method: Method, what: str) -> tuple[str, ...]:
    given = getattr(method, what, None)
    texts = () if given is None else (given,) if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{method.name}: its {what} are {given!r}; give a list of texts")
    if len(set(texts)) < len(texts):
        raise InputError(f"{method.name}: its {what} {', '.join(texts)} name one twice; give each once")
    return tuple(texts)


@dataclass(frozen=True)
class MethodOptions:
    """What the command's flags say to every method that it opens.

    Args:
        device: cpu, cuda, cuda:1 ...
        dtype: float32, float16 or bfloat16.
        steps: denoising steps.
        scheduler: of our sampler: pndm, ddim or dpmpp.
        cache: a folder for what is costly to make again; empty: none.
    """

    device: str = "cpu"
    dtype: str = "float32"
    steps: int = 50
    scheduler: str = "pndm"
    cache: str = ""
