"""Annotations: COCO's instances and cases -> the cases with the names of their objects' classes.

COCOEE's own ids are ids of annotations, not of photos: half of the 3,500 lie above every photo's id, and two are those
of crowds. A bench in its layout may number its cases by photos instead; which it is, its ids tell.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pbe.editing.case import Case
from pbe.editing.inputs import read_file, read_mask, read_size
from pipeline.arrays import Box
from pipeline.errors import InputError
from pipeline.storage.names import read_stored
from pipeline.storage.urls import filesystem

LEAST_OVERLAP = 0.5  # intersection over union of a mask's box and an annotation's


@dataclass(frozen=True)
class Instance:
    """An annotated object: `box` in shares of its photo, whose aspect is width / height."""

    label: str
    photo: int
    box: Box
    aspect: float
    crowd: bool


def label_cases(cases: Sequence[Case], annotations: str, *, ids: Collection[int]) -> tuple[tuple[Case, ...], str]:
    """Label cases that are named by numbers.

    Where the bench's ids are those of annotations, a label is the class of that annotation. Where they are those of
    photos, it is the class of the photo's annotation whose box fits the mask best, by an overlap of half at least, the
    photo taken whole or as its central square.

    Args:
        annotations: an instances_*.json of COCO.
        ids: of the whole bench, also without the cases that a limit left out.

    Returns:
        The cases, those that nothing fits without a label, and a line that counts both.

    Raises:
        InputError: the file is missing or of another form.
    """
    instances = _read(annotations)
    by_photo: dict[int, list[Instance]] = {}
    for instance in instances.values():
        by_photo.setdefault(instance.photo, []).append(instance)
    known = len(instances.keys() & set(ids))
    photos = len(by_photo.keys() & set(ids))
    labels = []
    for case in cases:
        number = int(case.name)
        if known > photos:
            labels.append(instances[number].label if number in instances else "")
        else:
            labels.append(_best_label(case, [found for found in by_photo.get(number, ()) if not found.crowd]))
    how = "annotations with their ids" if known > photos else "boxes that fit their masks"
    note = f"{sum(map(bool, labels)):,} of {len(cases):,} cases have labels from {annotations}, by {how}"
    return tuple(replace(case, label=label) for case, label in zip(cases, labels, strict=True)), note


def _read(annotations: str) -> dict[int, Instance]:
    """Read the instances of a file by id."""
    fs, path = filesystem(annotations)
    try:
        content = json.loads(read_stored(fs, path))
        classes = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        sides = {entry["id"]: (float(entry["width"]), float(entry["height"])) for entry in content["images"]}
        return {entry["id"]: _instance(entry, classes, sides) for entry in content["annotations"]}
    except OSError as error:
        raise InputError(f"--annotations {annotations}: cannot be read ({error}); give an existing file") from error
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
        raise InputError(
            f"--annotations {annotations}: is no instances file of COCO ({type(error).__name__}: {error}); give one "
            "such as instances_val2017.json"
        ) from error


def _instance(entry: dict[str, Any], classes: dict[int, str], sides: dict[int, tuple[float, float]]) -> Instance:
    width, height = sides[entry["image_id"]]
    left, top, box_width, box_height = map(float, entry["bbox"])
    box = (left / width, top / height, (left + box_width) / width, (top + box_height) / height)
    return Instance(
        label=classes[entry["category_id"]],
        photo=entry["image_id"],
        box=box,
        aspect=width / height,
        crowd=bool(entry.get("iscrowd")),
    )


def _best_label(case: Case, instances: Sequence[Instance]) -> str:
    """Find the instance whose box fits the mask best; empty: none does, or there is no mask to fit."""
    try:
        box = _box_of_mask(case.inputs["mask"])
    except InputError:  # the preflight names it
        return ""
    fits = [(max(_overlap(box, view) for view in _views(instance)), instance.label) for instance in instances]
    best, label = max(fits, key=lambda fit: fit[0], default=(0.0, ""))
    return label if best >= LEAST_OVERLAP else ""


def _box_of_mask(path: str) -> Box:
    """Return the box around a mask's hole, in shares of the picture."""
    width, height = read_size(read_file(path, "mask"), f"mask {path}")
    hole = read_mask(path, np.broadcast_to(np.uint8(0), (height, width, 3)))
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return (
        float(columns[0]) / width,
        float(rows[0]) / height,
        float(columns[-1] + 1) / width,
        float(rows[-1] + 1) / height,
    )


def _views(instance: Instance) -> list[Box]:
    """Where the box lies in the whole photo, and in its central square."""
    x_scale, y_scale = max(instance.aspect, 1.0), max(1 / instance.aspect, 1.0)
    scales = (x_scale, y_scale, x_scale, y_scale)
    x0, y0, x1, y1 = (0.5 + (side - 0.5) * scale for side, scale in zip(instance.box, scales, strict=True))
    return [instance.box, (max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))]


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes; a box that lies outside its picture has none."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)
