"""Random exemplar: a model and cases -> pictures painted with the exemplar of another case: how much of a score needs
the right one. Torch is imported where the model is loaded.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pbe.editing.case import Case
from pbe.editing.inputs import read_picture
from pbe.evaluation.bench.cases import Bench, OpenedCase
from pbe.evaluation.methods.by_example import ByExample
from pbe.evaluation.methods.protocol import CaseError, Edited
from pipeline.errors import InputError
from pipeline.rng import rng_for

_SEED = 0


class RandomExemplar(ByExample):
    """Paints by the exemplar of another case, each taken once; see `swap_exemplars`."""

    _others: dict[str, Case] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        return ("control: the exemplar of another case", *super().notes)

    def begin(self, bench: Bench) -> None:
        """Draw who gets whose exemplar."""
        self._others = swap_exemplars(bench.cases)

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        """See `ByExample.edit`.

        Raises:
            ValueError: the bench is not known; `begin` was not called.
        """
        if self._others is None:
            raise ValueError(f"{self.name}: begin(bench) comes before edit")
        swapped = [self._swapped(case, self._others.get(case.name)) for case in cases]
        painted = iter(super().edit([case for case in swapped if isinstance(case, OpenedCase)]))
        return [case if isinstance(case, CaseError) else next(painted) for case in swapped]

    def _swapped(self, case: OpenedCase, other: Case | None) -> OpenedCase | CaseError:
        if other is None:
            return CaseError("no other case has another exemplar")
        try:
            exemplar = read_picture(other.inputs["exemplar"], f"exemplar of {other.name}")
        except InputError as error:
            return CaseError(str(error))
        return replace(case, exemplar=exemplar, exemplar_mask=None, label=other.label)


def swap_exemplars(cases: Sequence[Case]) -> dict[str, Case]:
    """Pair each case, by name, with one that has another exemplar's file, each taken once.

    The pairs depend on the cases' names and exemplars alone, not on their order. Where most cases share one exemplar,
    not all of these find another: they are left out.
    """
    ordered = sorted(cases, key=lambda case: case.name)
    shuffled = [ordered[place] for place in rng_for(_SEED, "random exemplar").permutation(len(ordered))]
    # Cases of one exemplar stand together, so that a step as long as the longest of these runs leads out of each.
    runs: dict[str, list[Case]] = {}
    for case in shuffled:
        runs.setdefault(case.inputs["exemplar"], []).append(case)
    lined = [case for run in runs.values() for case in run]
    step = max(map(len, runs.values()), default=0)
    pairs = zip(lined, np.roll(np.arange(len(lined)), -step), strict=True)
    return {case.name: lined[at] for case, at in pairs if lined[at].inputs["exemplar"] != case.inputs["exemplar"]}
