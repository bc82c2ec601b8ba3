"""Fates: box tables, drops and index -> photos, and what became of each of their boxes: the funnel, box by box."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.box_rows import BOX_ID, BoxRows
from dashboards.rows import READERS, OpenedDataset, read_parquet
from pipeline.ahead import work_ahead
from pipeline.arrays import Box
from pipeline.shards.recipe import Json
from pipeline.shards.samples import Row
from schemas.boxes import COORDINATE_COLUMNS, ID_COLUMN, LABEL_COLUMN
from schemas.drops import DROPS
from schemas.samples import INDEX

# How a fate begins, in the order of the flow; after the colon stands the reason.
DRAWN, NOT_DRAWN, UNREACHED, BEYOND = "drawn", "kept, not drawn", "not reached yet", "beyond --limit"
MALFORMED, FILTERED, LOST, DRAW_DROPPED = "malformed: ", "filter: ", "lost photo: ", "draw dropped: "
_SHOWN = pa.schema(
    [INDEX.field(name) for name in ("image_id", "box_id", "key", "photo_width", "photo_height", "orientation")]
)
Progress = Callable[[int], None]


@dataclass(frozen=True)
class BoxFate:
    """A row of a box table and what became of it.

    Args:
        table_box: the table's values, shares of the photo as stored, or as its rotation says.
        box: the same, cut to the photo; None where they cannot be drawn.
        keys: the samples that were drawn from it.
    """

    box_id: int
    label: str
    table_box: Box
    box: Box | None
    fate: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class PhotoFate:
    """A photo with all rows that the tables have of it.

    Args:
        fate: of the photo: `drawn`, `lost photo: REASON`, `no kept box`, or as its boxes.
        size: width and height in px, upright; None where no sample of it says so.
        orientation: as the index records it; None likewise.
    """

    image_id: str
    fate: str
    size: tuple[int, int] | None
    orientation: str | None
    boxes: tuple[BoxFate, ...]


@dataclass(frozen=True)
class Fates:
    """Photos, and the counts of their boxes by fate.

    Args:
        counts: boxes of `photos` by fate.
        nameless: rows of the tables that belong to no photo.
        everything: whether these are all photos of the tables.
        missing: files of the dataset that could not be read, each with why.
    """

    photos: tuple[PhotoFate, ...]
    counts: Counter[str]
    nameless: int
    everything: bool
    missing: tuple[str, ...]


def find_fates(dataset: OpenedDataset, rows: BoxRows, *, progress: Progress = lambda files: None) -> Fates:
    """Find out what became of boxes.

    Args:
        rows: of the photos to look at.
        progress: called with the number of files read so far.
    """
    ids = pc.unique(rows.table[ID_COLUMN])
    reader = _Reader(dataset, ids, progress)
    before = _by_box(reader.drops(f"drops/{name}" for name in dataset.folder.names("drops") if "boxes-" in name))
    after = reader.drops(f"drops/units/{name}" for name in dataset.folder.names("drops/units"))
    lost = {row["image_id"]: row["reason"] for row in after if row["stage"] == "photo"}
    draw_drops = _by_box(row for row in after if row["stage"] == "draw")
    samples, facts = _gather_samples(reader.samples())
    reached = set(facts) | set(lost) | {image_id for image_id, _ in draw_drops}
    unreached = BEYOND if dataset.manifest is not None else UNREACHED

    def fate_of(place: tuple[str, int]) -> str:
        image_id = place[0]
        if place in before:
            drop = before[place]
            return f"{MALFORMED if drop['stage'] == 'boxes' else FILTERED}{drop['reason']}"
        if image_id in lost:
            return f"{LOST}{lost[image_id]}"
        if place in samples:
            return DRAWN
        if place in draw_drops:
            return f"{DRAW_DROPPED}{draw_drops[place]['reason']}"
        return NOT_DRAWN if image_id in reached else unreached

    photos = [_photo(group, fate_of, samples, facts) for group in _by_photo(rows.table)]
    counts = Counter(box.fate for photo in photos for box in photo.boxes)
    return Fates(tuple(photos), counts, rows.nameless, rows.everything, tuple(reader.missing))


def differences(fates: Fates, totals: Json) -> list[str]:
    """Compare the counts of all photos' boxes with a manifest's totals.

    Returns:
        A line for each sum that is off; empty where the funnel's counts are those of its pictures.
    """

    def count(*prefixes: str) -> int:
        return sum(number for fate, number in fates.counts.items() if fate.startswith(prefixes))

    malformed = sum(totals["malformed"].values())
    sums = {
        "malformed": (count(MALFORMED) + fates.nameless, malformed),
        **{f"filter {rule}": (fates.counts[f"{FILTERED}{rule}"], n) for rule, n in totals["filtered"].items()},
        "drawn": (count(DRAWN, DRAW_DROPPED), totals["boxes_drawn"]),
        "not drawn": (count(NOT_DRAWN), totals["boxes_not_drawn"]),
        "in lost photos": (count(LOST), totals["boxes_in_lost_photos"]),
        "beyond --limit": (count(BEYOND), totals["boxes_beyond_limit"]),
        "rows": (fates.counts.total() + fates.nameless, totals["rows"]),
    }
    return [
        f"{name}: {found:,} in the pictures, {said:,} in the manifest"
        for name, (found, said) in sums.items()
        if found != said
    ]


class _Reader:
    """Reads what concerns some photos from many Parquet files, several at once."""

    def __init__(self, dataset: OpenedDataset, ids: pa.Array, progress: Progress) -> None:
        self._dataset, self._ids, self._progress = dataset, ids, progress
        self._files = 0
        self.missing: list[str] = []

    def drops(self, names: Iterable[str]) -> list[Row]:
        return self._read(names, DROPS)

    def samples(self) -> list[Row]:
        return self._read((shard.index for shard in self._dataset.shards), _SHOWN)

    def _read(self, names: Iterable[str], schema: pa.Schema) -> list[Row]:
        def read(name: str) -> list[Row] | str:
            try:
                table = read_parquet(self._dataset.folder, name, schema)
            except FileNotFoundError:
                return f"{name}: missing"
            except ValueError as error:
                return f"{name}: damaged ({error})"
            return list(table.filter(pc.is_in(table["image_id"], value_set=self._ids)).to_pylist())

        found: list[Row] = []
        with ThreadPoolExecutor(READERS) as pool:
            for rows in work_ahead(pool, read, list(names), ahead=READERS):
                if isinstance(rows, str):
                    self.missing.append(rows)
                else:
                    found += rows
                self._files += 1
                self._progress(self._files)
        return found


def _by_box(drops: Iterable[Row]) -> dict[tuple[str, int], Row]:
    return {(drop["image_id"], drop["box_id"]): drop for drop in drops if drop["box_id"] is not None}


def _gather_samples(rows: Iterable[Row]) -> tuple[dict[tuple[str, int], list[str]], dict[str, Row]]:
    """Gather the keys of samples by box, and a row of each photo."""
    samples: dict[tuple[str, int], list[str]] = {}
    facts: dict[str, Row] = {}
    for row in rows:
        samples.setdefault((row["image_id"], row["box_id"]), []).append(row["key"])
        facts.setdefault(row["image_id"], row)
    return samples, facts


def _by_photo(table: pa.Table) -> Iterable[list[Row]]:
    photos: dict[str, list[Row]] = {}
    for row in table.to_pylist():
        photos.setdefault(row[ID_COLUMN], []).append(row)
    return (photos[image_id] for image_id in sorted(photos))


def _photo(
    rows: list[Row],
    fate_of: Callable[[tuple[str, int]], str],
    samples: Mapping[tuple[str, int], list[str]],
    facts: Mapping[str, Row],
) -> PhotoFate:
    image_id = rows[0][ID_COLUMN]
    boxes = []
    for row in rows:
        place = (image_id, row[BOX_ID])
        keys = tuple(sorted(samples.get(place, ())))
        values: Box = tuple(row[name] for name in COORDINATE_COLUMNS)
        boxes.append(BoxFate(row[BOX_ID], row[LABEL_COLUMN], values, _cut(values), fate_of(place), keys))
    seen = facts.get(image_id)
    size = (seen["photo_width"], seen["photo_height"]) if seen else None
    return PhotoFate(image_id, _photo_fate(boxes), size, seen["orientation"] if seen else None, tuple(boxes))


def _photo_fate(boxes: list[BoxFate]) -> str:
    """Name a photo's fate by what its kept boxes share; `drawn` where any was."""
    kept = [box.fate for box in boxes if not box.fate.startswith((MALFORMED, FILTERED))]
    if not kept:
        return "no kept box"
    return DRAWN if DRAWN in kept else kept[0]


def _cut(table_box: Box) -> Box | None:
    """Cut a box to the photo; None where nothing is left."""
    values: Any = np.array(table_box, float)
    if not np.isfinite(values).all():
        return None
    x0, y0, x1, y1 = (float(value) for value in np.clip(values, 0, 1))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None
