"""Compared: an evaluation -> documents: a case each, its inputs beside every row's picture with its scores."""

from collections.abc import Iterator
from typing import Any

import fiftyone as fo

from dashboards.app.documents import Row, write_samples
from dashboards.app.named import open_named
from dashboards.comparison import Comparison, field_of, sorted_by
from dashboards.views.compared_media import MASK, SOURCE, ComparedMedia
from schemas.scores import score_of

LABELS = {"metadata": "ImageMetadata", "mask": "Segmentation"}


def build_compared(name: str, comparison: Comparison, media: ComparedMedia) -> Any:
    """Write cases into the FiftyOne dataset of that name, anew, the worst first; tags stay.

    Returns:
        The `fiftyone.Dataset`, grouped: every case has every slice.
    """
    dataset = open_named(name, default_slice=comparison.rows[0] if comparison.rows else SOURCE)
    write_samples(dataset, _rows(comparison, media), labels=LABELS)
    dataset.default_mask_targets = {255: "repaint"}
    metrics = sorted_by(comparison.summary)
    dataset.app_config.active_fields = fo.ActiveFields(
        paths=["case", "label", "failed", *(field_of(metric) for metric in metrics[:2]), "mask"]
    )
    dataset.app_config.color_scheme = fo.ColorScheme(opacity=0.35)
    dataset.save()
    everything = dataset.select_group_slices(media.slices)
    in_rows = everything.sort_by([("rank", 1), ("place", 1)])
    told = f"a case a row, worst first: {comparison.order}" if comparison.order else "a case a row"
    dataset.save_view("side by side, worst first", in_rows, description=told, overwrite=True)
    for row in comparison.rows:
        own = everything.match(fo.ViewField("row") == row)
        scores = [dict(case.scores[row]) for case in comparison.cases if row in case.scores]
        for metric in metrics:
            if any(score_of(score, metric.key) is not None for score in scores):
                view = own.match(fo.ViewField(field_of(metric)) != None)  # noqa: E711 - an expression of FiftyOne's
                view = view.sort_by(field_of(metric), reverse=metric.better == "lower")
                dataset.save_view(f"{row}: worst {metric.title}", view, overwrite=True)
        if any(score["failed"] for score in scores):
            dataset.save_view(f"{row}: failed", own.match(fo.ViewField("failed") != ""), overwrite=True)
    return dataset


def _rows(comparison: Comparison, media: ComparedMedia) -> Iterator[Row]:
    metrics = comparison.summary.metrics
    for rank, case in enumerate(comparison.cases):
        shared = {"case": case.name, "label": case.recorded.case.label or "not known", "rank": rank}
        fields: dict[str, dict[str, Any]] = {}
        for place, name in enumerate(media.slices):
            width, height = media.size(rank, name)
            metadata = {"width": width, "height": height, "mime_type": "image/png", "num_channels": 3}
            fields[name] = {"filepath": media.name(rank, name), "metadata": metadata, "place": place, **shared}
            if score := case.scores.get(name):
                values = {field_of(metric): _value(score, metric.key) for metric in metrics}
                fields[name] |= {"row": name, "failed": score["failed"], "guidance": score["guidance"], **values}
        if media.has_mask(rank):
            fields[SOURCE]["mask"] = {"mask_path": media.name(rank, MASK)}
        yield Row(case.name, fields)


def _value(score: Any, key: str) -> float | None:
    return None if key == "frechet" else score_of(dict(score), key)
