"""Tagged: tags given in the App -> TAGGED, a CSV of boxes that `shard_openimages.py --deny` takes."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dashboards.app.kept_tags import labels_of, tagged_documents
from schemas.boxes import COORDINATE_COLUMNS
from schemas.tagged import TAG_SEPARATOR, TAGGED_BOX_ID, TAGGED_COLUMNS, TAGGED_ID, TAGGED_LABEL

Entry = dict[str, Any]


def tagged_boxes(datasets: Iterable[Any]) -> list[Entry]:
    """List what was tagged in datasets of samples and of photos, by image and box.

    A tag on any picture of a sample, or on a label drawn over it, is a tag of the sample's box. A tag on a photo of the
    dropped view is one of the photo: a row without a box.

    Returns:
        Rows by TAGGED_COLUMNS, a box once, with all its tags.
    """
    merged: dict[tuple[str, int | None], Entry] = {}
    documents = (document for dataset in datasets for document in tagged_documents(dataset))
    for entry, tags in _entries(documents):
        place = (entry[TAGGED_ID], entry[TAGGED_BOX_ID])
        kept = merged.setdefault(place, {**entry, "tags": set(), "key": set()})
        kept["tags"] |= set(tags)
        kept["key"] |= {entry["key"]} - {""}
    rows = sorted(merged.values(), key=lambda entry: (entry[TAGGED_ID], entry[TAGGED_BOX_ID] or -1))
    return [
        {**row, "tags": TAG_SEPARATOR.join(sorted(row["tags"])), "key": TAG_SEPARATOR.join(sorted(row["key"]))}
        for row in rows
    ]


def to_csv(rows: Iterable[Entry]) -> bytes:
    """Write TAGGED; equal rows give equal bytes."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, TAGGED_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _entries(documents: Iterable[Entry]) -> Iterator[tuple[Entry, list[str]]]:
    for document in documents:
        if TAGGED_ID not in document:  # of edits, evaluations and sample grids, which have no box
            continue
        if "boxes" not in document:  # a sample: its box is the one that it was drawn from
            tags = [*document["tags"], *(tag for label in labels_of(document) for tag in label["tags"])]
            yield _entry(document, document["label"], document["box_source"], document["key"]), tags
            continue
        if document["tags"]:
            photo = {**dict.fromkeys(TAGGED_COLUMNS, ""), TAGGED_ID: document["image_id"], TAGGED_BOX_ID: None}
            yield photo, document["tags"]
        for box in document["boxes"]["detections"]:
            if box["tags"]:
                place = {**box, TAGGED_ID: document["image_id"]}
                yield _entry(place, box["class_id"], box["table_box"], box.get("samples") or ""), box["tags"]


def _entry(place: Mapping[str, Any], label: str, box: Iterable[float], key: str) -> Entry:
    sides = dict(zip(COORDINATE_COLUMNS, map(_shortest, box), strict=True))
    return {TAGGED_ID: place[TAGGED_ID], TAGGED_BOX_ID: place[TAGGED_BOX_ID], TAGGED_LABEL: label, **sides, "key": key}


def _shortest(value: float) -> str:
    """Write a float32 in the fewest digits that give it back."""
    return str(np.float32(value))
