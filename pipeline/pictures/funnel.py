"""Funnel: totals -> funnel.png, what left at which stage."""

from typing import Any

from pipeline.pictures.overview import DPI, encode_png
from pipeline.shards.card import funnel_rows, is_loss
from pipeline.storage.folder import Folder
from schemas.shards import FUNNEL

KEPT_COLOR, LOST_COLOR = "#2a788e", "#d1495b"


def write_funnel(out: Folder, totals: dict[str, Any]) -> None:
    """Draw the funnel: what is left in blue, what left it in red, on a logarithmic scale."""
    from matplotlib.figure import Figure

    rows = [row for row in funnel_rows(totals) if row[2] or row[0] in ("box rows", "samples")]
    figure = Figure(figsize=(9, 1.2 + 0.36 * len(rows)), dpi=DPI, facecolor="white")
    axes = figure.subplots()
    labels = [f"{stage}: {reason}" for stage, reason, _ in rows]
    colors = [LOST_COLOR if is_loss(stage, reason) else KEPT_COLOR for stage, reason, _ in rows]
    counts = [count for *_, count in rows]
    bars = axes.barh(range(len(rows)), [max(count, 0.8) for count in counts], color=colors)
    axes.set_yticks(range(len(rows)), labels, parse_math=False)  # reasons hold what flags gave, $ too
    axes.bar_label(bars, [f"{count:,}" for count in counts], padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.7, 4 * max(10, *counts))
    axes.set_title("From box rows to samples (blue: left, red: lost or unused)", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    out.write(FUNNEL, encode_png(figure))
