"""Controls: methods whose result is known beforehand, between which the others lie. Imports no torch."""

from collections.abc import Sequence

from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.copying.pasting import paste_exemplar
from pbe.evaluation.methods.protocol import CaseError, Edited


class Control:
    """What needs no weights."""

    def __init__(self, name: str) -> None:
        self.name = name

    def available(self) -> str:
        return ""


class Identity(Control):
    """Leaves the source as it is."""

    notes = ("control: the source, unedited",)

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        return [case.source for case in cases]


class GroundTruth(Control):
    """Shows what the hole held, or should hold."""

    notes = ("control: the ground truth",)
    needs = ("ground_truth",)

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        return [CaseError("has no ground truth") if case.ground_truth is None else case.ground_truth for case in cases]


class CopyPaste(Control):
    """Pastes the whole exemplar over the mask's rectangle; nothing outside the mask changes."""

    notes = ("control: the exemplar, stretched over the mask's rectangle",)

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        return [paste_exemplar(case.source, case.mask, case.exemplar) for case in cases]
