"""Facts: what a search for shared photos found -> overlap.json and back, and the line that a report shows of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from schemas.overlap import OVERLAP_FACTS

NOT_MADE = "leak check: none was made; run python -m pbe.leaks"
SHOWN = 5  # names in a banner
CONFIDENCE = 0.95


@dataclass(frozen=True)
class SideFacts:
    """One side.

    Args:
        photos: that it has.
        compared: whose pixels were.
        unreadable: the others, by reason, with how many; the first names of each stand in `unreadable_names`.
        flickr_ids: photos whose Flickr id is known.
        digest: 16 hex digits of names and bytes of the compared ones.
    """

    label: str
    photos: int
    compared: int
    digest: str
    flickr_ids: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict)
    unreadable_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ControlFacts:
    """Pairs of different photos, within one side, that went through the same search.

    Args:
        pairs: how many.
        found: those that were taken for one photo: mistakes, or real duplicates within a side.
        names: the first of these.
    """

    pairs: int
    found: int
    names: tuple[tuple[str, str], ...] = ()

    @property
    def rate(self) -> float:
        """False positives a pair, at most: real duplicates are among them."""
        return self.found / self.pairs if self.pairs else 0.0

    @property
    def most(self) -> float:
        """The rate that is exceeded with a probability of 5 % (Clopper and Pearson 1934, one-sided)."""
        if self.found >= self.pairs:
            return 1.0
        from scipy.special import betaincinv

        return float(betaincinv(self.found + 1, self.pairs - self.found, CONFIDENCE))

    def describe(self) -> str:
        """Say it in words."""
        if not self.pairs:
            return "false positives: not measured, there are too few photos"
        return (
            f"false positives: {self.found} of {self.pairs:,} pairs of different photos within a side "
            f"({self.rate:.2g}; with 95 % confidence at most {self.most:.2g} a pair)"
        )


@dataclass(frozen=True)
class OverlapFacts:
    """What a search found.

    Args:
        shared: names of the bench's (or other dataset's) photos that are in the training set.
        elsewhere: those that are only in a split of the dataset that is not trained on.
        pairs: rows of overlap.parquet.
        hits: pairs whose hashes were near.
        aligned: of these, pairs whose details agreed, too, so that they were compared in full.
        plain: of these, pairs in which one photo shows too little to be compared.
    """

    training: SideFacts
    other: SideFacts
    is_bench: bool
    shared: tuple[str, ...]
    elsewhere: tuple[str, ...]
    pairs: int
    hits: int
    aligned: int
    plain: int
    control: ControlFacts

    def banner(self) -> str:
        """Say in one line what a reader of results on this bench must know."""
        what = f"{self.other.photos:,} {'bench' if self.is_bench else 'other'} photos"
        left = self.other.photos - self.other.compared + self.training.photos - self.training.compared
        rest = f"; {left:,} photos could not be compared" if left else ""
        if not self.shared:
            return f"leak check: none of {what} was found in the training set ({self.training.photos:,} photos){rest}"
        more = f" and {len(self.shared) - SHOWN:,} more" if len(self.shared) > SHOWN else ""
        verb = "is" if len(self.shared) == 1 else "are"
        names = ", ".join(self.shared[:SHOWN])
        return f"leak check: {len(self.shared):,} of {what} {verb} in the training set: {names}{more}{rest}"

    def to_json(self) -> bytes:
        """Write it, sorted, without a clock."""
        control = {"rate": self.control.rate, "most": self.control.most}
        content = {**asdict(self), "control": {**asdict(self.control), **control}, "banner": self.banner()}
        return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def read_overlap(path: str) -> OverlapFacts:
    """Read what a search found.

    Args:
        path: the output of `pbe.leaks`, or its overlap.json.

    Raises:
        InputError: it is missing, torn, or none.
    """
    place = overlap_file(path)
    try:
        return _facts(json.loads(place.read_bytes()))
    except FileNotFoundError as error:
        raise InputError(f"{place}: missing; give the --out of a python -m pbe.leaks that ended") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{place}: is not what pbe.leaks found ({error}); run it again") from error


def overlap_file(path: str) -> Path:
    """Find the file in the output of a search, which may be named itself."""
    place = Path(path).expanduser()
    return place / OVERLAP_FACTS if place.is_dir() else place


def _facts(given: dict[str, Any]) -> OverlapFacts:
    control = {name: given["control"][name] for name in ("pairs", "found")}
    names = tuple((str(one), str(other)) for one, other in given["control"]["names"])
    counts = {name: int(given[name]) for name in ("pairs", "hits", "aligned", "plain")}
    return OverlapFacts(
        training=_side(given["training"]),
        other=_side(given["other"]),
        is_bench=bool(given["is_bench"]),
        shared=tuple(map(str, given["shared"])),
        elsewhere=tuple(map(str, given["elsewhere"])),
        control=ControlFacts(**control, names=names),
        **counts,
    )


def _side(given: dict[str, Any]) -> SideFacts:
    names = {reason: tuple(map(str, names)) for reason, names in given["unreadable_names"].items()}
    return SideFacts(**{**given, "unreadable_names": names})
