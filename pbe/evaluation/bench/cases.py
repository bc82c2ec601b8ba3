"""Cases: a bench -> its cases, opened for methods. Imports no torch."""

from dataclasses import dataclass

from pbe.editing.case import Case
from pipeline.arrays import Hole, Pixels


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


@dataclass(frozen=True)
class OpenedCase:
    """A case with its pictures decoded.

    Args:
        name: unique in the bench.
        source: [h, w, 3] uint8 sRGB, the hole's content included.
        mask: [h, w] bool, True = repaint; not empty.
        exemplar: [eh, ew, 3] uint8 sRGB.
        exemplar_mask: [eh, ew] bool, True = the object; None: nobody gave one.
        ground_truth: [h, w, 3] uint8 sRGB; None: there is none.
        label: of the exemplar's object: a class or a few words; empty: not known.
        seed: of this case, whatever else is edited with it.
        guidance: scale, for methods that take one.
    """

    name: str
    source: Pixels
    mask: Hole
    exemplar: Pixels
    exemplar_mask: Hole | None
    ground_truth: Pixels | None
    label: str
    seed: int
    guidance: float
