"""Control: photos of one side among themselves -> how often the search takes different photos for one."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import pyarrow as pa

from pbe.evaluation.overlap.blocks import Block, Search
from pbe.evaluation.overlap.facts import ControlFacts
from pbe.evaluation.overlap.sides import Side
from pipeline.rng import rng_for

MOST_PHOTOS = 500  # of each side: 124,750 pairs
SHOWN = 20


def measure_control(search: Search, sides: Sequence[Side], *, advance: Callable[[int], Any]) -> ControlFacts:
    """Search for shared photos where there should be none: within seeded samples of each side.

    Real duplicates count as mistakes; only copies with equal bytes are set aside.
    """
    pairs = 0
    found: list[tuple[str, str]] = []
    for number, side in enumerate(sides):
        sample = sample_side(side)
        block = search.kept(f"control-{number}")
        if block is None:
            known, _ = search.hold(sample, 0)
            block = search.keep(f"control-{number}", search.compare(sample, sample.photos.to_pylist(), known))
        advance(block.photos)
        compared = block.photos - len(block.lost)
        copies = _equal_bytes(block)
        pairs += compared * (compared - 1) // 2 - len(copies)
        found += sorted({_pair(match) for match in block.matches if len(set(_pair(match))) == 2} - copies)
    return ControlFacts(pairs, len(found), tuple(found[:SHOWN]))


def sample_side(side: Side) -> Side:
    """Choose at most MOST_PHOTOS photos, seeded."""
    count = len(side.photos)
    chosen = rng_for(0, "overlap control").permutation(count)[:MOST_PHOTOS]
    return Side(side.label, side.photos.take(pa.array(sorted(chosen.tolist()), pa.int64())), side.store)


def _pair(match: dict[str, Any]) -> tuple[str, str]:
    one, other = sorted((match["photo"], match["other"]))
    return one, other


def _equal_bytes(block: Block) -> set[tuple[str, str]]:
    """The pairs of found photos whose files are equal; these cannot but find each other."""
    names: dict[str, set[str]] = {}
    for match in block.matches:
        names.setdefault(match["sha256"], set()).add(match["photo"])
    return {pair for same in names.values() for pair in combinations(sorted(same), 2)}
