"""Cases: a bench -> its cases, opened for methods. Imports no torch."""

from dataclasses import dataclass

from pbe.editing.case import Case
from pbe.editing.inputs import read_case, read_mask, read_picture
from pipeline.arrays import Hole, Pixels
from pipeline.decoding.colour import on_backdrop
from pipeline.errors import InputError
from pipeline.rng import seed_for

SEEDS = 2**31  # seeds of cases lie below, so that any generator takes them
GUIDANCE = "5"  # of cases for which nothing says more


@dataclass(frozen=True)
class Bench:
    """The cases that every method edits.

    Args:
        name: as the report calls it: COCOEE, or that of a folder, table or dataset.
        kind: cocoee, cases (a table) or cut (from a dataset).
        cases: in their order; each has one seed, and names differ also where a disk ignores case.
        banners: what a report says loudly, such as that the cases were seen in training.
        shares_exemplar: exemplars are cut out of the ground truth, so that a copy is no fault.
        subset_of: how many cases there were before --limit; 0: these are all.
        notes: what was left out or passed over, with counts and reasons.
        faults: what is wrong with the list of its cases itself; see `check_bench`.
    """

    name: str
    kind: str
    cases: tuple[Case, ...]
    banners: tuple[str, ...] = ()
    shares_exemplar: bool = False
    subset_of: int = 0
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


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


def open_case(case: Case) -> OpenedCase:
    """Read and decode a case's pictures. Its guidance is the first that the case names.

    Raises:
        InputError: a file is missing or damaged, or does not go with the others.
    """
    given = read_case(case)
    source = on_backdrop(given.source)
    truth, outline = (case.evaluated.get(what) for what in ("ground truth", "exemplar mask"))
    ground_truth = (
        source.copy() if truth == case.inputs["source"] else read_picture(truth, "ground truth") if truth else None
    )
    if ground_truth is not None and ground_truth.shape != source.shape:
        sides = [f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (ground_truth, source)]
        raise InputError(f"ground truth {truth}: {sides[0]} px for a source of {sides[1]}; make it at that size")
    return OpenedCase(
        name=case.name,
        source=source,
        mask=given.mask,
        exemplar=given.exemplar,
        exemplar_mask=read_mask(outline, given.exemplar) if outline else None,
        ground_truth=ground_truth,
        label=case.label,
        seed=case.seeds[0],
        guidance=case.guidance[0],
    )


def seed_of_case(seed: int, name: str) -> int:
    """The seed of a case that has none of its own: 0 to 2**31 - 1, whatever the other cases are."""
    return seed_for(seed, "case", name) % SEEDS
