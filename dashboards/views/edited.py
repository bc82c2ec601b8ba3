"""Edited: a folder of edits -> documents: a case each, what it was made from beside what the model made of it."""

from collections.abc import Iterator
from typing import Any

import fiftyone as fo

from dashboards.app.documents import Row, write_samples
from dashboards.app.named import open_named
from dashboards.edits import Edits
from dashboards.views.edit_media import MASK, SOURCE, EditMedia, slice_of, slices_of

LABELS = {"metadata": "ImageMetadata", "mask": "Segmentation"}


def build_edited(name: str, edits: Edits, media: EditMedia) -> Any:
    """Write cases into the FiftyOne dataset of that name, anew; tags stay.

    Returns:
        The `fiftyone.Dataset`, grouped: every case has every slice.
    """
    slices = slices_of(edits.edits)
    dataset = open_named(name, default_slice=slices[-1])
    write_samples(dataset, _rows(edits, slices, media), labels=LABELS)
    dataset.default_mask_targets = {255: "repaint"}
    dataset.app_config.active_fields = fo.ActiveFields(paths=["case", "guidance", "seed", "mask"])
    dataset.app_config.color_scheme = fo.ColorScheme(opacity=0.35)
    dataset.save()
    everything = dataset.select_group_slices(slices)
    in_rows = everything.sort_by([("case", 1), ("place", 1)])
    dataset.save_view("side by side, in rows", in_rows, description="a case a row: inputs, then edits", overwrite=True)
    for field in ("guidance", "seed", "checkpoint"):
        values = [value for value in everything.distinct(field) if value is not None]
        for value in values if len(values) > 1 else []:
            view = everything.match(fo.ViewField(field) == value).sort_by("case")
            dataset.save_view(f"{field} {value:g}" if field == "guidance" else f"{field} {value}", view, overwrite=True)
    return dataset


def _rows(edits: Edits, slices: list[str], media: EditMedia) -> Iterator[Row]:
    for place, edit in enumerate(edits.edits):
        made = {slice_of(picture): picture for picture in edit.pictures}
        settings = edit.record.settings if edit.record else {}
        shared = {
            "case": edit.name,
            "scheduler": str(settings.get("scheduler", "not recorded")),
            "steps": str(settings.get("steps", "not recorded")),
            "blend": str(settings.get("blend", "not recorded")),
        }
        fields: dict[str, dict[str, Any]] = {}
        for number, name in enumerate(slices):
            width, height = media.size(place, name)
            metadata = {"width": width, "height": height, "mime_type": "image/png", "num_channels": 3}
            fields[name] = {"filepath": media.name(place, name), "metadata": metadata, "place": number, **shared}
            if name in made:
                fields[name] |= {"guidance": made[name].guidance, "seed": made[name].seed}
                fields[name]["checkpoint"] = str(edit.checkpoint)
        if media.has_mask(place):
            fields[SOURCE]["mask"] = {"mask_path": media.name(place, MASK)}
        yield Row(edit.name, fields)
