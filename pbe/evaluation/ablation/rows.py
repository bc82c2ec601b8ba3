"""Rows: the paper's five rows -> the trainer's flags, and a METHOD of the comparison each. Imports no torch.

Each row adds one remedy to the one before (Table 2 of Paint by Example): Stable Diffusion's weights as a start;
augmented exemplars and arbitrary masks; one CLIP vector an exemplar; classifier-free guidance. Rows before the last are
trained without dropping exemplars, and sampled without guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NAIVE = "naive"
ADDED = ("prior", "augmentation", "bottleneck", "guidance")
SWITCHES = {"augmentation": "--no-augmentation", "bottleneck": "--no-bottleneck", "guidance": "--no-guidance-drop"}
NAMES = (NAIVE, *(f"+{remedy}" for remedy in ADDED))
NO_PRIOR = "needs Stable Diffusion's weights: give --prior, such as --prior CompVis/stable-diffusion-v1-4"


@dataclass(frozen=True)
class Row:
    """A row of the ablation.

    Args:
        name: of its METHOD.
        label: in the table.
        folder: of its training.
        flags: of the trainer, in which it differs from the others.
        unavailable: why it cannot be trained; empty: it can.
    """

    name: str
    label: str
    folder: str
    flags: tuple[str, ...]
    unavailable: str = ""


def plan_rows(prior: str, *, caveat: str = "") -> tuple[Row, ...]:
    """List the five rows. Without a prior the second is unavailable, and the later ones are trained and named without.

    Args:
        prior: weights to start from; empty: none.
        caveat: what a reader must know of it, for the names of the rows that start from it.
    """
    start = ("--init-from", prior) if prior else ("--no-prior",)
    said = caveat if prior else "no prior"
    rows = [Row(NAIVE, NAIVE, NAIVE, ("--naive",))]
    for number, remedy in enumerate(ADDED):
        off = tuple(SWITCHES[later] for later in ADDED[number + 1 :])
        unavailable = NO_PRIOR if remedy == "prior" and not prior else ""
        name = f"+{remedy}"
        label = name if unavailable or not said else f"{name}, {said}"
        folder = remedy if prior else f"{remedy}-no-prior"
        rows.append(Row(name, label, folder, (*start, *off), unavailable))
    return tuple(rows)


def method_spec(row: Row, *, model: str, unavailable: str) -> str:
    """Write a row as METHOD of `python -m pbe.evaluate`.

    Args:
        model: the folder of its training.
        unavailable: why it has no model; empty: it has.
    """
    if unavailable:
        return f"pbe.evaluation.ablation.absent:Absent@{row.label}={unavailable}"
    return f"{row.name}@{row.label}={model}" if row.label != row.name else f"{row.name}={model}"


def describe(rows: Sequence[Row]) -> list[str]:
    """Say which rows there are, a line each."""
    return [f"  {row.label}: {row.unavailable or ' '.join(row.flags)}" for row in rows]
