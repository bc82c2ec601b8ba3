"""Cases: a bench -> its cases, opened for methods. Imports no torch."""

from dataclasses import dataclass

from pbe.editing.case import Case


@dataclass(frozen=True)
class Bench:
    """The cases that every method edits.

    Args:
        name: as the report calls it: COCOEE, or that of a folder, table or dataset.
        kind: cocoee, cases (a table) or cut (from a dataset).
        cases: in their order; each has one seed, and names differ also where a disk ignores case.
        banners: what a report says loudly, such as that the cases were seen in training.
        shares_exemplar: each exemplar is cut out of the ground truth, so that a copy is no fault.
        subset_of: how many cases there were before --limit.
    """

    name: str
    kind: str
    cases: tuple[Case, ...]
    banners: tuple[str, ...] = ()
    shares_exemplar: bool = False
    subset_of: int = 0
