"""Pictures: a dataset -> overview.png (a contact sheet read back from its shards) and funnel.png."""

import io
from collections import Counter
from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Pixels
from pipeline.decoding.resize import resize
from pipeline.draws.draw import blank
from pipeline.draws.exemplars import augment_exemplar, describe_augmentation
from pipeline.draws.jitter import jitter_of, name_jitter
from pipeline.draws.raster import raster_mask
from pipeline.pictures.outlines import TILE_PX, outline_sample
from pipeline.pictures.stand_in import place_exemplar
from pipeline.shards.samples import Row, Sample, read_index, read_sample
from pipeline.storage.folder import Folder
from schemas.shards import OVERVIEW, UnitRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FindSource = Callable[[Row], Pixels | None]

OVERVIEW_SAMPLES = 10
DPI = 100
WIDTH_IN, LINE_IN, TITLE_IN = 12.0, 1.7, 0.6
TITLE = (
    "Samples read back from the shards: source with box (yellow) and mask outline (cyan), masked source, "
    "stored exemplar, augmented exemplar"
)


def write_overview(
    out: Folder, records: list[UnitRecord], *, seed: int, find_source: FindSource = lambda row: None
) -> int:
    """Draw the contact sheet of the first samples: source, masked source, stored and augmented exemplar.

    The picture holds no clock or path: equal datasets give equal bytes.

    Args:
        find_source: gives the source of a sample whose shard keeps none (`--keep-source` does); None: the first two
            tiles show the exemplar's place on an empty crop.

    Returns:
        How many samples it shows.
    """
    rows = choose_rows(out, records)
    if not rows:
        return 0
    from matplotlib.figure import Figure

    lines = -(-len(rows) // 2)
    figure = Figure(figsize=(WIDTH_IN, TITLE_IN + LINE_IN * lines), dpi=DPI, facecolor="white")
    grid = figure.subplots(lines, 8, squeeze=False)
    top = 1 - TITLE_IN / figure.get_figheight()
    figure.subplots_adjust(left=0.01, right=0.99, top=top, bottom=0.01, wspace=0.05, hspace=0.18)
    figure.text(0.5, 1 - 0.2 / figure.get_figheight(), TITLE, ha="center", va="center", fontsize=10)
    for axes in grid.flat:
        axes.set_axis_off()
    for position, row in enumerate(rows):
        line, half = divmod(position, 2)
        _draw_sample(grid[line][4 * half : 4 * half + 4], read_sample(out, row), seed, find_source)
    out.write(OVERVIEW, encode_png(figure))
    return len(rows)


def choose_rows(out: Folder, records: list[UnitRecord]) -> list[Row]:
    """Take a sample each of as many photos as there is room for, and only then further draws of the same photos."""
    rows: list[Row] = []
    for draw in sorted({record.draw for record in records}):
        filled = [record.index.name for record in records if record.index and record.draw == draw]
        indexes = [read_index(out, name).to_pylist() for name in sorted(filled)[:OVERVIEW_SAMPLES]]
        rows += [row for of_each in zip_longest(*indexes) for row in of_each if row]  # a row of each shard in turn
        if len({row["image_id"] for row in rows}) >= OVERVIEW_SAMPLES:
            break
    earlier: Counter[str] = Counter()
    turns = []
    for row in rows:
        turns.append(earlier[row["image_id"]])
        earlier[row["image_id"]] += 1
    return [rows[place] for place in sorted(range(len(rows)), key=turns.__getitem__)[:OVERVIEW_SAMPLES]]


def _draw_sample(tiles: NDArray[Any], sample: Sample, seed: int, find_source: FindSource) -> None:
    row = sample.row
    polygon = np.array(row["mask_polygon"], np.float32).reshape(-1, 2)
    source = sample.source if sample.source is not None else find_source(row)
    if source is None:
        source = place_exemplar(sample.exemplar_pixels, row)
    source = resize(source, TILE_PX)
    mask = raster_mask(polygon, TILE_PX)
    augmented, _ = augment_exemplar(sample.exemplar_pixels, seed=seed, image_id=row["image_id"], draw=row["draw"])
    _show(tiles[0], outline_sample(source, row, polygon), f"{row['label_name']}, {row['split']}")
    _show(tiles[1], blank(source, mask), f"{row['mask_shape']}, {row['fit']}")
    jitter = jitter_of(row)
    _show(tiles[2], sample.exemplar_pixels, f"exemplar, {name_jitter(jitter)}" if jitter else "exemplar")
    _show(tiles[3], augmented, describe_augmentation(row["augmentation"]))


def _show(axes: "Axes", pixels: Pixels, title: str) -> None:
    axes.imshow(pixels)
    axes.set_title(title, fontsize=8, pad=3, parse_math=False)


def encode_png(figure: "Figure") -> bytes:
    """Encode a figure; equal figures give equal bytes."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
