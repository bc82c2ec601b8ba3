"""Row counts: what a plan is made from, and how many rows and photos it has at each stage."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.boxes.denied import DeniedBoxes
from pipeline.boxes.filters import Rule
from schemas.plan import PLACES


@dataclass
class Plan:
    """What became of every row: rows = malformed + filtered + kept; kept = planned + beyond the limit."""

    rows: int = 0
    malformed: dict[str, int] = field(default_factory=dict)
    filtered: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    photos: int = 0  # with at least one row
    photos_without_kept_box: int = 0
    photos_beyond_limit: int = 0
    boxes_beyond_limit: int = 0
    photos_planned: int = 0
    boxes_planned: int = 0
    units: int = 0
    inputs: list[dict[str, Any]] = field(default_factory=list)  # role, bytes, rows, sha256 of each table
    box_drop_files: int = 0
    deny_rows: dict[str, int] = field(default_factory=dict)  # rows of --deny, by their use
    photos_copied: int = 0  # that lie in several places with the same bytes

    def add(self, judged: "Judged") -> None:
        """Take the counts of one partition."""
        self.malformed = dict(Counter(self.malformed) + judged.malformed)
        self.filtered = dict(Counter(self.filtered) + judged.filtered)
        self.kept += len(judged.kept)
        self.photos += judged.photos
        self.photos_without_kept_box += judged.photos_without_kept_box
        self.deny_rows = dict(Counter(self.deny_rows) + judged.deny_rows)

    def check(self) -> None:
        """Check that no row is lost.

        Raises:
            AssertionError: a sum is off, which is a bug.
        """
        assert self.rows == sum(self.malformed.values()) + sum(self.filtered.values()) + self.kept, asdict(self)
        assert self.kept == self.boxes_planned + self.boxes_beyond_limit, asdict(self)
        photos = self.photos_without_kept_box + self.photos_beyond_limit + self.photos_planned
        assert self.photos == photos, asdict(self)


@dataclass(frozen=True)
class PlanInputs:
    """What a plan is made from: the tables, and the choices that decide it."""

    tables: tuple[str, ...]
    image_info: tuple[str, ...]
    rules: tuple[Rule, ...]
    seed: int
    split_shares: tuple[float, float, float]
    photos_per_unit: int
    limit: int
    anonymous: bool
    denied: DeniedBoxes | None = None
    equal_boxes: bool = False  # equal boxes are boxes of their own: something else tells them apart


@dataclass(frozen=True)
class Judged:
    """The rows of one partition, parted into kept boxes and drops, and their counts."""

    kept: pa.Table
    drops: pa.Table
    malformed: Counter[str]
    filtered: Counter[str]
    photos: int
    photos_without_kept_box: int
    deny_rows: Counter[str]
    several_places: pa.Table = field(default_factory=PLACES.empty_table)  # PLACES of photos that have several
