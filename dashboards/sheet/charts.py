"""Charts: totals and rows -> bars and histograms, as numbers that the page draws."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dashboards.quality import mean_mask
from dashboards.rows import OpenedDataset
from pipeline.pages.thumbnails import png_uri
from pipeline.shards.card import funnel_rows, is_loss
from pipeline.shards.recipe import Json
from pipeline.shards.totals import sum_records

MOST_CLASSES = 12
AREA_EDGES = np.geomspace(0.01, 1, 21)  # shares of the photo; the first bin takes all that is smaller
COVER_EDGES = np.linspace(0, 1, 21)
MEAN_MASK_CELLS = 64


@dataclass(frozen=True)
class Bar:
    """A line of a bar chart; `share` is its length, 0 to 1."""

    label: str
    count: int
    share: float
    lost: bool = False


@dataclass(frozen=True)
class Histogram:
    """A histogram: the height of each column, 0 to 1, the middle value and the least; None where there is no value."""

    columns: tuple[float, ...]
    median: float | None
    least: float | None


@dataclass(frozen=True)
class MaskShape:
    """The masks of one shape: how much of their box, and of the crop, they cover."""

    name: str
    samples: int
    of_box: Histogram
    of_crop: Histogram


@dataclass(frozen=True)
class MeanMask:
    """How often each place of the crop is repainted: a picture, and the share of the samples at its brightest."""

    picture: str
    most: float


def funnel_bars(dataset: OpenedDataset) -> list[Bar]:
    """List what left at which stage; of an unfinished dataset, what its finished shards say."""
    if dataset.manifest is not None:
        rows = funnel_rows(dataset.manifest["totals"])
    else:
        rows = _rows_so_far(sum_records(dataset.records))
    rows = [row for row in rows if row[2] or row[0] in ("box rows", "samples")]
    return _bars([(f"{stage}: {reason}", count, is_loss(stage, reason)) for stage, reason, count in rows])


def class_bars(rows: pa.Table) -> list[Bar]:
    """Count the samples of the classes that have most; the rest together."""
    counts = Counter(rows["label_name"].to_pylist())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    bars = [(str(name), count, False) for name, count in ordered[:MOST_CLASSES]]
    rest = ordered[MOST_CLASSES:]
    if rest:
        bars.append((f"{len(rest):,} more", sum(count for _, count in rest), False))
    return _bars(bars)


def area_histogram(rows: pa.Table) -> Histogram:
    """Count the boxes by their share of the photo, in bins of equal ratio."""
    return _histogram(rows["area"], AREA_EDGES)


def mask_shapes(rows: pa.Table) -> list[MaskShape]:
    """Count the samples by how much the mask covers, shape by shape."""
    shapes = np.array(rows["mask_shape"].to_pylist(), object)
    found = []
    for name in sorted(set(shapes)):
        of_shape = rows.filter(pa.array(shapes == name))
        cover, share = (_histogram(of_shape[column], COVER_EDGES) for column in ("cover", "mask_share"))
        found.append(MaskShape(name, len(of_shape), of_box=cover, of_crop=share))
    return found


def draw_mean_mask(rows: pa.Table) -> MeanMask:
    """Draw the mean mask, dark where it never lies to bright where it lies most often."""
    mean = mean_mask(rows, cells=MEAN_MASK_CELLS)
    most = float(mean.max())
    grey = np.rint(mean / (most or 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return MeanMask(png_uri(np.asarray(colours, np.uint8)), most)


def _rows_so_far(sums: Json) -> list[tuple[str, str, int]]:
    return [
        ("photos", "finished", sums["photos_planned"]),
        ("photos", "lost", sums["photos_lost"]),
        ("boxes", "in lost photos", sums["boxes_in_lost_photos"]),
        ("boxes", "drawn", sums["boxes_drawn"]),
        ("draws", "planned", sums["draws_planned"]),
        *(("draws dropped", reason, count) for reason, count in sums["draws_dropped"].items()),
        ("samples", "written", sums["samples"]),
    ]


def _bars(rows: Sequence[tuple[str, int, bool]]) -> list[Bar]:
    most = max([1, *(count for _, count, _ in rows)])
    return [Bar(label, count, count / most, lost) for label, count, lost in rows]


def _histogram(column: pa.ChunkedArray, edges: NDArray[np.float64]) -> Histogram:
    values = np.asarray(column.drop_null().to_numpy(), np.float64)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    columns: Any = counts / max(1, counts.max())
    median, least = (float(np.median(values)), float(values.min())) if len(values) else (None, None)
    return Histogram(tuple(columns.tolist()), median, least)
