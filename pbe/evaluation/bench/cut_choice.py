"""Cut choice: samples of a split -> those of draw 0 that become cases, and whose exemplar each takes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc

from pbe.evaluation.bench.limits import choose
from pbe.evaluation.bench.partners import Partners
from pbe.evaluation.bench.split_rows import SplitRows
from pipeline.errors import InputError
from pipeline.shards.samples import Row

Exemplar = Literal["other", "own"]


@dataclass(frozen=True)
class Chosen:
    """Cases to cut.

    Args:
        rows: index rows by their places in the split.
        partners: of each case, in the split's order, the place of the sample whose exemplar it takes.
        names: of the cases, in the same order.
        eligible: how many cases there would be without a limit.
        notes: what was left out, and why.
    """

    rows: Mapping[int, Row]
    partners: Mapping[int, int]
    names: Sequence[str]
    eligible: int
    notes: tuple[str, ...]


def choose_cases(split: SplitRows, *, exemplar: Exemplar, limit: int, seed: int) -> Chosen:
    """Choose the cases, samples of draw 0, and the exemplar of each, from any draw.

    Raises:
        InputError: there is none.
    """
    finder = Partners(split.table, seed=seed)
    lacking = finder.lacking() if exemplar == "other" else {}
    boxes = np.asarray(split.table["draw"], np.int64) == 0
    left_out = {why: int((boxes & samples).sum()) for why, samples in lacking.items()}
    notes = tuple(f"{count:,} of {boxes.sum():,} boxes are left out: {why}" for why, count in left_out.items() if count)
    eligible = np.flatnonzero(boxes & ~np.any([np.zeros_like(boxes), *lacking.values()], axis=0))
    if not len(eligible):
        raise InputError(
            f"{split.folder.url}: no case is left of its {boxes.sum():,} boxes: {'; '.join(notes)}. Give another "
            "--split, or --exemplar own"
        )
    names = _names(split.table["key"])
    cases = [int(eligible[number]) for number in choose([names[box] for box in eligible], limit=limit, seed=seed)]
    partners = {box: finder.find(box) if exemplar == "other" else box for box in cases}
    rows = split.full(sorted({*partners, *partners.values()}))
    return Chosen(rows, partners, [names[box] for box in cases], len(eligible), notes)


def _names(keys: Any) -> list[str]:
    """Name cases after their samples, and those apart that a disk which ignores case would not tell apart."""
    folded = pc.utf8_lower(keys).combine_chunks().dictionary_encode()
    codes = np.asarray(folded.indices, np.int64)
    alike = np.bincount(codes)[codes] > 1
    return [
        f"{key}-{hashlib.sha256(key.encode()).hexdigest()[:8]}" if twice else key
        for key, twice in zip(keys.to_pylist(), alike, strict=True)
    ]
