"""Protocol: opened cases -> pictures. What every method of a comparison is, ours and a stranger's. Imports no torch.

The smallest method:

    class Grey:
        name = "grey"

        def available(self) -> str:
            return ""

        def edit(self, cases):
            return [np.where(case.mask[..., None], np.uint8(128), case.source) for case in cases]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pbe.evaluation.bench.cases import OpenedCase
from pipeline.arrays import Pixels


class CaseError(Exception):
    """A method cannot edit this one case, such as a text method a case without a label. Not a fault of the method."""


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


def facts_of(method: Method) -> MethodFacts:
    """Read a method's optional attributes."""
    return MethodFacts(
        variants=tuple(getattr(method, "variants", None) or ("",)),
        takes_guidance=bool(getattr(method, "takes_guidance", False)),
        notes=tuple(getattr(method, "notes", ())),
        settings=dict(getattr(method, "settings", None) or {}),
    )


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
