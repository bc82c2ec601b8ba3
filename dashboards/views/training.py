"""Training: a training's folder -> documents: its sample grids by step, and its validation samples, the worst first."""

from collections.abc import Iterator, Mapping
from typing import Any

import fiftyone as fo

from dashboards.app.documents import FLAT, Row, write_samples
from dashboards.app.named import open_named
from dashboards.training_run import LOSSES, TrainingRun
from dashboards.views.kept_pictures import Media
from dashboards.views.sample_media import open_picture

_LOGGED = ("loss", "validation_loss", "validation_loss_ema")


class GridMedia:
    """Sample grids by name."""

    def __init__(self, dataset: str, run: TrainingRun) -> None:
        self._dataset, self._grids = dataset, run.grids

    def name(self, step: int) -> str:
        """Name the grid of a step."""
        return f"/{self._dataset}/grid/{step:08d}.png"

    def picture(self, name: str) -> Media | None:
        """Read the grid of a name; None: no such name."""
        path = next((path for step, path in self._grids.items() if name == self.name(step)), None)
        if path is None:
            return None
        return open_picture(path.name, path.read_bytes)[0]


def build_grids(name: str, run: TrainingRun, media: GridMedia) -> Any:
    """Write sample grids into the FiftyOne dataset of that name, anew, by step; tags stay.

    Returns:
        The `fiftyone.Dataset`.
    """
    dataset = open_named(name, default_slice=None)
    write_samples(dataset, _grid_rows(run, media), labels={"metadata": "ImageMetadata"})
    dataset.app_config.active_fields = fo.ActiveFields(paths=["step", "validation_loss"])
    dataset.save()
    dataset.save_view("newest first", dataset.sort_by("step", reverse=True), overwrite=True)
    return dataset


def save_worst_views(dataset: Any, step: int) -> None:
    """Save views that put the worst validation samples first."""
    for field in (name for name in LOSSES if dataset.has_sample_field(name)):
        view = dataset.sort_by(field, reverse=True)
        dataset.save_view(f"worst {field.replace('_', ' ')}", view, description=f"at step {step}", overwrite=True)


def _grid_rows(run: TrainingRun, media: GridMedia) -> Iterator[Row]:
    rows: Mapping[int, Any] = {row["step"]: row for row in run.rows}
    for step, path in run.grids.items():
        _, (width, height) = open_picture(path.name, path.read_bytes)
        losses = {name: rows.get(step, {}).get(name) for name in _LOGGED}
        metadata = {"width": width, "height": height, "mime_type": "image/png", "num_channels": 3}
        yield Row(f"{step}", {FLAT: {"filepath": media.name(step), "metadata": metadata, "step": step, **losses}})
