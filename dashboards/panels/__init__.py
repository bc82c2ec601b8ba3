"""Panels: the current view of the App -> the mean of its masks, redrawn with every view. A plugin of FiftyOne."""

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types
import numpy as np

from pipeline.draws.raster import fill

CELLS = 64
MOST_SAMPLES = 5000
_NAME = "mean_mask"


class MeanMask(foo.Panel):  # type: ignore[misc]
    """The share of the view's samples whose hole holds each place of the crop."""

    @property
    def config(self) -> Any:
        """How the App lists it."""
        return foo.PanelConfig(name=_NAME, label="Mean mask", icon="gradient", surfaces="grid")

    def on_load(self, ctx: Any) -> None:
        """Draw it when it opens."""
        self._draw(ctx)

    def on_change_view(self, ctx: Any) -> None:
        """Draw it anew for another view."""
        self._draw(ctx)

    def render(self, ctx: Any) -> Any:
        """Lay out the heat map."""
        panel = types.Object()
        panel.plot(
            "heat_map",
            label=ctx.panel.get_state("title"),
            height=560,
            layout={
                "xaxis": {"visible": False, "constrain": "domain"},
                "yaxis": {"visible": False, "autorange": "reversed", "scaleanchor": "x"},
                "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            },
            config={"displayModeBar": False},
        )
        return types.Property(panel)

    def _draw(self, ctx: Any) -> None:
        outlines = _outlines(ctx.view)
        shown = outlines[:MOST_SAMPLES]
        mean = sum((fill(rings, CELLS) for rings in shown), np.zeros((CELLS, CELLS))) / max(1, len(shown))
        first = f"the first {len(shown):,} of " if len(shown) < len(outlines) else ""
        ctx.panel.set_state("title", f"Mean mask of {first}{len(outlines):,} samples: {mean.mean():.1%} of the crop")
        trace = {"type": "heatmap", "z": mean.tolist(), "zmin": 0, "zmax": 1, "colorscale": "Viridis"}
        ctx.panel.set_data("heat_map", [trace])


def _outlines(view: Any) -> list[list[Any]]:
    """Read the mask outlines of a view's samples: of each its rings, [n, 2] shares of the crop."""
    if view.media_type == "group":
        view = view.select_group_slices("source")
    values = view.values("mask_outline.polylines.points") if view.has_field("mask_outline") else []
    return [[np.array(ring) for points in value for ring in points] for value in values if value]


def register(plugin: Any) -> None:
    """Tell FiftyOne what this plugin has."""
    plugin.register(MeanMask)
