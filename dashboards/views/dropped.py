"""Dropped rows: photos and fates -> documents: a photo each, its boxes coloured by what became of them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fiftyone as fo
from fiftyone import ViewField

from dashboards.app.documents import FLAT, Row, write_samples
from dashboards.app.named import open_named
from dashboards.fates import (
    BEYOND,
    DRAW_DROPPED,
    DRAWN,
    FILTERED,
    LOST,
    MALFORMED,
    NOT_DRAWN,
    BoxFate,
    Fates,
    PhotoFate,
)
from dashboards.views.photo_media import UprightPhoto

LABELS = {"metadata": "ImageMetadata", "boxes": "Detections"}
# How a fate begins -> the colours of its boxes; of several fates of one kind each has its own.
COLOURS = {
    DRAWN: ("#19b36b",),
    NOT_DRAWN: ("#4a9be8",),
    BEYOND: ("#8a8f98",),
    DRAW_DROPPED: ("#b565d8", "#8e44ad"),
    LOST: ("#5d5d5d", "#2f2f2f"),
    MALFORMED: ("#222222", "#555555", "#777777"),
    FILTERED: ("#e4572e", "#f2a541", "#d81159", "#f78fa7", "#a63c06", "#ffc857", "#7b2d26", "#ff7f51"),
}


def build_dropped(
    name: str,
    fates: Fates,
    *,
    measure: Callable[[PhotoFate], UprightPhoto],
    names: Mapping[str, str],
    place: Callable[[int], str],
) -> Any:
    """Write photos and their boxes into the FiftyOne dataset of that name, anew, with a view for each fate; tags stay.

    Args:
        measure: finds a photo's size and turn.
        names: label -> name.
        place: a photo's number -> where its picture lies.

    Returns:
        The `fiftyone.Dataset`.
    """
    dataset = open_named(name, default_slice=None)
    write_samples(dataset, dropped_rows(fates, measure=measure, names=names, place=place), labels=LABELS)
    _set_up(dataset, fates)
    return dataset


def dropped_rows(
    fates: Fates,
    *,
    measure: Callable[[PhotoFate], UprightPhoto],
    names: Mapping[str, str],
    place: Callable[[int], str],
) -> Iterator[Row]:
    """Describe photos, see `build_dropped`."""
    for number, fate in enumerate(fates.photos):
        photo = measure(fate)
        boxes = [_box(box, photo, names) for box in fate.boxes if box.box is not None]
        kinds = Counter(box.fate for box in fate.boxes)
        fields = {
            "filepath": place(number),
            "metadata": {"width": photo.width, "height": photo.height, "mime_type": "image/jpeg", "num_channels": 3},
            "image_id": fate.image_id,
            "fate": fate.fate,
            "fault": photo.fault or None,
            "rows": len(fate.boxes),
            "rows_without_a_box": len(fate.boxes) - len(boxes),
            "drawn": kinds[DRAWN],
            "dropped_by_rules": sum(count for kind, count in kinds.items() if kind.startswith(FILTERED)),
            "boxes": boxes,
        }
        yield Row(fate.image_id, {FLAT: fields})


def _set_up(dataset: Any, fates: Fates) -> None:
    """Set colours by fate, and save one view for each fate."""
    present = [kind for kind, _ in fates.counts.most_common()]
    colours = [{"value": kind, "color": _colour(kind, present)} for kind in present]
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="value",
        fields=[{"path": "boxes", "colorByAttribute": "label", "valueColors": colours}],
    )
    dataset.app_config.active_fields = fo.ActiveFields(paths=["boxes", "fate"])
    dataset.info["boxes by fate"] = dict(fates.counts)
    dataset.info["rows without a photo"] = fates.nameless
    dataset.save()
    for kind in present:
        view = dataset.filter_labels("boxes", ViewField("label") == kind)
        dataset.save_view(kind, view, description=f"{fates.counts[kind]:,} boxes", overwrite=True)
    most = dataset.sort_by("dropped_by_rules", reverse=True)
    dataset.save_view("most boxes dropped by rules", most, overwrite=True)


def _box(box: BoxFate, photo: UprightPhoto, names: Mapping[str, str]) -> dict[str, Any]:
    assert box.box is not None
    x0, y0, x1, y1 = photo.turn(box.box)
    return {
        "id": str(box.box_id),
        "label": box.fate,
        "bounding_box": [x0, y0, x1 - x0, y1 - y0],
        "class_name": names.get(box.label, box.label),
        "class_id": box.label,
        "table_box": list(box.table_box),
        "box_id": box.box_id,
        "area": (x1 - x0) * (y1 - y0),
        "samples": ", ".join(box.keys) or None,
    }


def _colour(kind: str, present: list[str]) -> str:
    beginning = next((beginning for beginning in COLOURS if kind.startswith(beginning)), BEYOND)
    colours = COLOURS[beginning]
    alike = sorted(other for other in present if other.startswith(beginning))
    return colours[alike.index(kind) % len(colours)] if kind in alike else colours[0]
