"""Measured: a number, or the reason why there is none. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """What a metric says of one picture.

    Args:
        value: finite; None: there is none.
        reason: why there is none.
    """

    value: float | None
    reason: str = ""
