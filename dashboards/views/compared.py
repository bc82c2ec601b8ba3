"""Compared: an evaluation -> documents: a case each, its inputs beside every row's picture with its scores."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fiftyone as fo

from dashboards.app.documents import Row, write_samples
from dashboards.app.named import open_named
from dashboards.comparison import ComparedCase, Comparison, fields_of, sorted_by
from dashboards.console import progress
from dashboards.views.compared_media import SOURCE, ComparedMedia
from schemas.scores import SIMILARITY

LABELS = {"metadata": "ImageMetadata", "mask": "Segmentation"}
REPAINT = 255
MASK_COLOUR = "#00e5ff"
COLOURS = {"mask": MASK_COLOUR, "case": "#5f6368", "picture": "#00695c", "failed": "#c62828"}
SCORE_COLOUR = "#1565c0"
SHOWN_SCORES = 2  # on a picture of the grid
CASE = {"case": "name of the case", "label": "of the exemplar's object", "rank": "0 is the worst"}
PICTURE = {
    "picture": "what this picture is: an input, or a row of the table",
    "failed": "why there is none",
    "guidance": "guidance scale",
}
REST = ("id", "filepath", "place", "metadata", "group", "created_at", "last_modified_at")


def build_compared(name: str, comparison: Comparison, media: ComparedMedia) -> Any:
    """Write cases into the FiftyOne dataset of that name, anew, the worst first; tags stay.

    Returns:
        The `fiftyone.Dataset`, grouped: every case has every slice.
    """
    first = next((name for name, shown in media.slices.items() if shown == comparison.first), SOURCE)
    dataset = open_named(name, default_slice=first)
    with progress("cases", "cases", len(comparison.cases)) as tick:
        write_samples(dataset, _rows(comparison, media, tick), labels=LABELS)
    for stale in set(dataset.group_slices) - set(media.slices):
        dataset.delete_group_slice(stale)
    dataset.default_group_slice = first
    _set_up(dataset, comparison)
    _save_views(dataset, comparison, list(media.slices))
    return dataset


def _set_up(dataset: Any, comparison: Comparison) -> None:
    """Set colours, and the sidebar with what each field says; views that the user saved under other names stay."""
    fields = fields_of(comparison.metrics)
    told = {**CASE, **PICTURE, **{fields[metric.key]: metric.title for metric in comparison.metrics}}
    there = set(dataset.get_field_schema())
    for path in told.keys() & there:
        field = dataset.get_field(path)
        field.description = told[path]
        field.save()
    scores = [fields[metric.key] for metric in sorted_by(comparison)]
    shown = ["picture", "failed", *scores[:SHOWN_SCORES], "mask"]
    dataset.app_config.active_fields = fo.ActiveFields(paths=[path for path in shown if path in there])
    groups = {"what is drawn over the source": ["mask"], "case": CASE, "picture": PICTURE, "scores": fields.values()}
    dataset.app_config.sidebar_groups = [
        fo.SidebarGroupDocument(name="tags", paths=["tags", "_label_tags"]),
        *(
            fo.SidebarGroupDocument(name=group, paths=[path for path in paths if path in there], expanded=True)
            for group, paths in groups.items()
            if there & set(paths)
        ),
        fo.SidebarGroupDocument(name="all else", paths=sorted(there & set(REST)), expanded=False),
    ]
    dataset.default_mask_targets = {REPAINT: "repaint"}
    colours = {**COLOURS, **dict.fromkeys(fields.values(), SCORE_COLOUR)}
    custom: list[dict[str, Any]] = [{"path": path, "fieldColor": colour} for path, colour in colours.items()]
    custom[0]["maskTargetsColors"] = [{"intTarget": REPAINT, "color": MASK_COLOUR}]
    dataset.app_config.color_scheme = fo.ColorScheme(color_by="field", opacity=0.4, fields=custom)
    dataset.save()


def _save_views(dataset: Any, comparison: Comparison, slices: list[str]) -> None:
    """Save views; in those of one metric, the App's choice of a slice is that of a row."""
    everything = dataset.select_group_slices(slices)
    order = f"the worst first: {comparison.order}" if comparison.order else "by name"
    views = {"side by side, worst first": (everything.sort_by([("rank", 1), ("place", 1)]), f"case by case, {order}")}
    fields = fields_of(comparison.metrics)
    for metric in sorted_by(comparison):
        field = fields[metric.key]
        view = dataset.exists(field).sort_by([(field, -1 if metric.better == "lower" else 1), ("rank", 1)])
        views[f"worst {metric.title}"] = (view, "of the row that is chosen as slice")
    if any(score["failed"] for case in comparison.cases for score in case.scores.values()):
        views["failed"] = (
            everything.exists("failed").sort_by([("place", 1), ("rank", 1)]),
            "pictures that are not there, and why",
        )
    for name, (view, description) in views.items():
        dataset.save_view(name, view, description=description, overwrite=True)


def _rows(comparison: Comparison, media: ComparedMedia, tick: Callable[[int], None]) -> Iterator[Row]:
    columns = fields_of(comparison.metrics)
    for rank, case in enumerate(comparison.cases):
        tick(rank)
        sizes, has_mask = media.sizes(rank)
        shared = {"case": case.name, "label": case.recorded.case.label or "not known", "rank": rank}
        fields: dict[str, dict[str, Any]] = {}
        for place, ((name, row), (width, height)) in enumerate(zip(media.slices.items(), sizes, strict=True)):
            metadata = {"width": width, "height": height, "mime_type": "image/png", "num_channels": 3}
            fields[name] = {
                "filepath": media.name(rank, place),
                "metadata": metadata,
                "place": place,
                "picture": name,
                **shared,
            }
            if place >= len(media.inputs):
                fields[name] |= _scores(case, row, columns)
        if has_mask:
            fields[SOURCE]["mask"] = {"mask_path": media.name(rank, media.mask_place)}
        yield Row(case.name, fields)


def _scores(case: ComparedCase, row: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Give a picture's fields; what has no value is left out."""
    score = case.scores.get(row)
    if score is None:
        return {"failed": "has no score"}
    similarity = dict(score["similarity"] or ())
    values = {
        field: similarity.get(key.removeprefix(SIMILARITY)) if key.startswith(SIMILARITY) else score[key]
        for key, field in columns.items()
    }
    return {"failed": score["failed"] or None, "guidance": score["guidance"], **values}
