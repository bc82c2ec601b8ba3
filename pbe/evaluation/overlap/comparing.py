"""Comparing: a photo and many known ones -> those that are the same photo, and how they were changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pbe.evaluation.overlap.aligning import Alignable, align
from pbe.evaluation.overlap.greys import Greys
from pbe.evaluation.overlap.hash_index import HashIndex
from pbe.evaluation.overlap.patches import agreement
from pbe.evaluation.overlap.windows import TURNS, Hashes, hash_windows, turn_hashes, windows_of

RADIUS = 11  # bits of 63: hashes of windows that differ in more are not looked at
LEAST_AGREEMENT = 0.45  # of the details of two windows: pairs with less in all NEAREST are not aligned
NEAREST = 3
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
        hits: known photos with a hash near one of its own.
        aligned: of these, pairs whose details agree, too, so that they were compared in full.
        plain: of these, pairs in which one shows too little to be aligned: they may be the same or not.
    """

    matches: tuple[Match, ...] = ()
    flat: bool = False
    hits: int = 0
    aligned: int = 0
    plain: int = 0


@dataclass(frozen=True)
class _Near:
    """A window of a photo, and one of a known photo, turned, whose hashes differ in few bits."""

    bits: int
    window: int
    known_window: int
    turn: int


class KnownPhotos:
    """Photos that others are compared with. Memory: about 260 KB a photo."""

    def __init__(self, names: Sequence[str], photos: Sequence[Greys]) -> None:
        self.names = list(names)
        self.flat: list[str] = []
        self._smalls = [photo.small.astype(np.uint8) for photo in photos]
        self._alignables = [Alignable(photo.large) for photo in photos]
        hashes, owners = [np.empty(0, np.uint64)], [np.empty((3, 0), np.int32)]
        for place, photo in enumerate(photos):
            hashed, windows = _hash(photo)
            turned = turn_hashes(hashed)
            numbers, turns = np.meshgrid(windows, np.arange(len(TURNS)))
            hashes.append(turned.ravel())
            owners.append(np.stack([np.full(turned.size, place), turns.ravel(), numbers.ravel()]).astype(np.int32))
            self.flat += [] if len(windows) else [self.names[place]]
        self._owners = np.concatenate(owners, axis=1)  # of a hash: photo, turn and window
        self._index = HashIndex(np.concatenate(hashes))

    def compare(self, photo: Greys) -> Compared:
        """Find the known photos that are the same as another one."""
        hashed, windows = _hash(photo)
        if not len(windows):
            return Compared(flat=True)
        near = self._near(hashed, windows)
        small, own = photo.small.astype(np.uint8), Alignable(photo.large)
        agreeing = [pair for pair, hits in near.items() if self._agree(small, pair[0], hits)]
        matches: dict[int, Match] = {}
        plain = set()
        for place, mirrored in agreeing:
            known = self._alignables[place]
            if own.plain or known.plain:
                plain.add(place)
                continue
            known = known.mirrored if mirrored else known
            found = align(known, own)
            found = found if found.same else align(known.square, own.square)  # one may have been squashed
            if found.same and (place not in matches or found.inliers > matches[place].inliers):
                turn, bits = name_turn(mirrored, found.quarter_turns), near[place, mirrored][0].bits
                matches[place] = Match(self.names[place], turn, bits, found.inliers, round(found.correlation, 4))
        hits, aligned = (len({place for place, _ in pairs}) for pairs in (near, agreeing))
        return Compared(tuple(matches[place] for place in sorted(matches)), False, hits, aligned, len(plain))

    def _near(self, hashes: Hashes, windows: NDArray[np.int64]) -> dict[tuple[int, bool], list[_Near]]:
        """List the NEAREST hits of each known photo, plain and mirrored, the nearest first."""
        queries, places, bits = self._index.near(hashes, RADIUS)
        found: dict[tuple[int, bool], list[_Near]] = {}
        for hit in np.lexsort((places, queries, bits)).tolist():
            place, number, window = self._owners[:, places[hit]].tolist()
            hits = found.setdefault((place, number.bit_count() % 2 == 1), [])
            if len(hits) < NEAREST:
                hits.append(_Near(int(bits[hit]), int(windows[queries[hit]]), window, number))
        return dict(sorted(found.items()))

    def _agree(self, small: NDArray[np.uint8], place: int, hits: Sequence[_Near]) -> bool:
        known = self._smalls[place]
        return any(agreement(small, hit.window, known, hit.known_window, hit.turn) >= LEAST_AGREEMENT for hit in hits)


def _hash(photo: Greys) -> tuple[Hashes, NDArray[np.int64]]:
    """Hash the windows of a photo that show something, and give their places in WINDOWS."""
    hashes, shown = hash_windows(photo.small)
    height, width = photo.large.shape
    windows = windows_of(width, height)
    windows = windows[shown[windows]]
    return hashes[windows], windows


def name_turn(mirrored: bool, quarter_turns: int) -> str:
    """Name what a mirror, then quarter turns counter-clockwise, make of a picture, as TURNS does."""
    return " and ".join(filter(None, ["mirrored" if mirrored else "", _QUARTERS[quarter_turns]])) or TURNS[0]
