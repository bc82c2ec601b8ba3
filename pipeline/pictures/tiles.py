"""Tiles: rows of pictures -> one labelled figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.arrays import Pixels

TILE_IN, TITLE_IN, NOTE_IN = 2.2, 0.4, 0.3
DPI = 100
_LABEL: dict[str, Any] = {
    "xycoords": "axes fraction",
    "va": "top",
    "fontsize": 7,
    "parse_math": False,  # names may hold a $
    "bbox": {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.8, "linewidth": 0},
}


def draw_tiles(
    rows: Sequence[Sequence[Pixels | None]], *, titles: Sequence[str], labels: Sequence[Sequence[str]], note: str
) -> Pixels:
    """Draw pictures in rows.

    Args:
        rows: of [h, w, 3] uint8 RGB, each of any size; None leaves a gap.
        titles: of the columns.
        labels: of the pictures, written into their corners; empty: none.
        note: written below.

    Returns:
        The figure, [h, w, 3] uint8 RGB; equal pictures give an equal figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (TILE_IN * len(titles), TITLE_IN + TILE_IN * len(rows) + NOTE_IN)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    top, bottom = 1 - TITLE_IN / size[1], NOTE_IN / size[1]
    figure.subplots_adjust(left=0.01, right=0.99, top=top, bottom=bottom, wspace=0.03, hspace=0.03)
    for axes in grid.flat:
        axes.set_axis_off()
        axes.set_anchor("N")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=9, parse_math=False)
    for line, (pictures, texts) in enumerate(zip(rows, labels, strict=True)):
        for axes, picture, label in zip(grid[line], pictures, texts, strict=True):
            if picture is not None:
                axes.imshow(picture)
            if label:
                axes.annotate(label, (0.03, 0.97), **_LABEL)
    figure.text(0.01, 0.3 * bottom, note, fontsize=8, color="#444444", parse_math=False)
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
