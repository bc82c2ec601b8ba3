"""Absent: why a row was not trained -> a method of the comparison that is unavailable for that reason."""

from collections.abc import Sequence

from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.protocol import CaseError, Edited


class Absent:
    """A row without a model. `module:object@LABEL=REASON` names it."""

    name = "absent"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def available(self) -> str:
        return self._reason

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        return [CaseError(self._reason)] * len(cases)
