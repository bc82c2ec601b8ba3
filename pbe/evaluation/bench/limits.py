"""Limits: cases and a number -> that many of them, a seeded choice."""

from collections.abc import Sequence

from pipeline.errors import InputError
from pipeline.rng import seed_for


def refuse_bad_limit(limit: int) -> None:
    """Refuse a number of cases that is none.

    Raises:
        InputError: saying so.
    """
    if limit < 0:
        raise InputError(f"--limit {limit}: give a number of cases; 0 takes all")


def in_order_of_choice(names: Sequence[str], *, seed: int) -> list[int]:
    """Order cases as a limit takes them: [n] indices.

    A case's place depends on the seed and its name alone: neither the order of the cases nor those that are added
    change which of two comes first.
    """
    return sorted(range(len(names)), key=lambda case: (seed_for(seed, "limit", names[case]), names[case]))


def choose(names: Sequence[str], *, limit: int, seed: int) -> list[int]:
    """Choose at most `limit` cases: their indices, in the cases' own order. A larger limit takes these and more.

    Args:
        limit: 0: all.
    """
    if not 0 < limit < len(names):
        return list(range(len(names)))
    return sorted(in_order_of_choice(names, seed=seed)[:limit])
