"""Comparing: a photo and many known ones -> those that are the same photo, and how they were changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pbe.evaluation.overlap.aligning import Alignable, align
from pbe.evaluation.overlap.greys import Greys
from pbe.evaluation.overlap.hash_index import HashIndex
from pbe.evaluation.overlap.windows import TURNS, hash_windows, turn_hashes

RADIUS = 10  # bits of 63: hashes of windows that differ in more are not looked at
_MIRRORED = np.array([number.bit_count() % 2 for number in range(len(TURNS))])
_QUARTERS = ("", "turned by 90", "turned by 180", "turned by 270")


@dataclass(frozen=True)
class Match:
    """A known photo that is the same.

    Args:
        other: its name.
        turn: one of TURNS, which makes it look like the photo.
        bits: in which the nearest two hashes differ.
        inliers, correlation: see Alignment.
    """

    other: str
    turn: str
    bits: int
    inliers: int
    correlation: float


@dataclass(frozen=True)
class Compared:
    """What came of a photo.

    Args:
        flat: it shows nothing that could be hashed.
        hits: known photos with a hash near one of its own; all were compared by their pixels.
        plain: of these, pairs in which one shows too little to be aligned: they may be the same or not.
    """

    matches: tuple[Match, ...] = ()
    flat: bool = False
    hits: int = 0
    plain: int = 0


class KnownPhotos:
    """Photos that others are compared with. Memory: about 250 KB a photo."""

    def __init__(self, names: Sequence[str], photos: Sequence[Greys]) -> None:
        self.names = list(names)
        self.flat: list[str] = []
        self._alignables = [Alignable(photo.large) for photo in photos]
        hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        for place, photo in enumerate(photos):
            windows, shown = hash_windows(photo.small)
            turned = turn_hashes(windows[shown])
            hashes.append(turned.ravel())
            owners.append(np.repeat(2 * place + _MIRRORED, shown.sum()))
            self.flat += [] if shown.any() else [self.names[place]]
        self._owners = np.concatenate(owners)  # of a hash: twice the place of its photo, and 1 where that is mirrored
        self._index = HashIndex(np.concatenate(hashes))

    def compare(self, photo: Greys) -> Compared:
        """Find the known photos that are the same as another one."""
        windows, shown = hash_windows(photo.small)
        if not shown.any():
            return Compared(flat=True)
        near = self._near(windows[shown])
        own = Alignable(photo.large)
        matches: dict[int, Match] = {}
        plain = set()
        for owner, bits in near:
            place, mirrored = divmod(owner, 2)
            known = self._alignables[place]
            if own.plain or known.plain:
                plain.add(place)
                continue
            found = align(known.mirrored if mirrored else known, own)
            if found.same and (place not in matches or found.inliers > matches[place].inliers):
                turn = name_turn(bool(mirrored), found.quarter_turns)
                matches[place] = Match(self.names[place], turn, bits, found.inliers, round(found.correlation, 4))
        hits = len({owner // 2 for owner, _ in near})
        return Compared(tuple(matches[place] for place in sorted(matches)), hits=hits, plain=len(plain))

    def _near(self, hashes: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> list[tuple[int, int]]:
        """List the owners of hashes near some others, each once, with the fewest bits that differ."""
        _, places, bits = self._index.near(hashes, RADIUS)
        fewest: dict[int, int] = {}
        for owner, count in zip(self._owners[places].tolist(), bits.tolist(), strict=True):
            fewest[owner] = min(count, fewest.get(owner, count))
        return sorted(fewest.items())


def name_turn(mirrored: bool, quarter_turns: int) -> str:
    """Name what a mirror, then quarter turns counter-clockwise, make of a picture, as TURNS does."""
    return " and ".join(filter(None, ["mirrored" if mirrored else "", _QUARTERS[quarter_turns]])) or TURNS[0]
