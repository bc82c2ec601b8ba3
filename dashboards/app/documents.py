"""Documents: rows of plain values -> FiftyOne's samples, in bulk.

`add_samples` takes 5 to 10 ms a sample. Here only the first row of each shape goes through it, which declares fields,
slices and media types as FiftyOne does it; its documents are read back and serve as the template of all other rows.
"""

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import fiftyone as fo
from bson import ObjectId
from pymongo.errors import BulkWriteError

from dashboards.app.kept_tags import Document, KeptTags
from dashboards.app.named import GROUP_FIELD
from pipeline.errors import InputError

BATCH = 2000
DUPLICATE = 11000  # MongoDB's code for an id that is there
FLAT = ""
"""The one slice of a row in a dataset without groups."""

Fields = Mapping[str, Any]
# Labels that are lists: the class -> where the list stands, and the class of its elements.
LISTS = {
    "Classifications": ("classifications", "Classification"),
    "Detections": ("detections", "Detection"),
    "Keypoints": ("keypoints", "Keypoint"),
    "Polylines": ("polylines", "Polyline"),
}


@dataclass(frozen=True)
class Row:
    """A sample, or a group of samples."""

    key: str
    """Unique within the dataset: ids follow from it, so that addresses and tags outlive a rebuild."""
    slices: Mapping[str, Fields]
    """Slice -> fields; `{FLAT: fields}` in a dataset without groups.

    Each has a `filepath`: a name for `/media` that begins with `/` and ends like a file (`.jpg`), but is no path. None,
    and an empty list, count as absent. A label is a dict of its attributes, a list of labels a list of them; there an
    `id` (a string) names an element better than its place does.
    """


def write_samples(dataset: Any, rows: Iterable[Row], *, labels: Mapping[str, str]) -> int:
    """Replace all samples of a dataset of ours by these; tags that somebody gave to them or their labels stay.

    Args:
        dataset: as `open_named` gives it.
        labels: field -> the FiftyOne class that it holds, such as `Detections`, `Heatmap`, `ImageMetadata`; other
            fields hold numbers, strings, flags, or lists of one of them.

    Returns:
        The number of samples, which is that of groups times slices.

    Raises:
        TypeError: a field holds values of two types.
        ValueError: a `filepath` is not such a name.
        InputError: somebody else writes the same dataset.
    """
    kept = KeptTags(dataset)
    dataset.clear()
    template = _Template(dataset, labels)
    batch: list[Document] = []
    written = 0
    for row in rows:
        batch += template.documents(row)
        if len(batch) >= BATCH:
            written += _insert(dataset, batch, kept)
            batch = []
    written += _insert(dataset, batch, kept)
    kept.settle(dataset)
    dataset.reload()
    return written


def sample_id(dataset_name: str, key: str, slice_name: str = FLAT) -> str:
    """The id of a sample, 24 hex digits, as it stands in the App's addresses."""
    return str(_id(dataset_name, key, slice_name))


def group_id(dataset_name: str, key: str) -> str:
    """The id of a group, 24 hex digits."""
    return str(_id(dataset_name, key))


class _UndeclaredError(Exception):
    """A row has a slice, a field or an attribute that FiftyOne has not seen yet."""


class _Template:
    """Turns rows into documents, as `add_samples` would."""

    def __init__(self, dataset: Any, labels: Mapping[str, str]) -> None:
        self._dataset, self._labels = dataset, labels
        self._now = datetime.now(UTC).replace(tzinfo=None)
        self._samples: dict[str, Document] = {}  # slice -> a sample's document without fields of ours
        self._bare = {kind: _bare(LISTS[kind][1] if kind in LISTS else kind) for kind in labels.values()}
        self._types: dict[tuple[str, str], type] = {}  # field, and attribute or nothing -> the type of its values

    def documents(self, row: Row) -> list[Document]:
        try:
            return [self._document(row.key, name, fields) for name, fields in row.slices.items()]
        except _UndeclaredError:
            self._declare(row)
        return [self._document(row.key, name, fields) for name, fields in row.slices.items()]

    def _document(self, key: str, slice_name: str, fields: Fields) -> Document:
        if slice_name not in self._samples:
            raise _UndeclaredError
        path = fields["filepath"]
        if not path.startswith("/") or posixpath.normpath(path) != path:
            raise ValueError(f"{key}: filepath {path!r} must be a name like /a/b.jpg, without . and ..")
        name = self._dataset.name
        document = {
            **self._samples[slice_name],
            "_id": _id(name, key, slice_name),
            "_rand": _rand(name, key, slice_name),
            "tags": [],
            "created_at": self._now,
            "last_modified_at": self._now,
        }
        if slice_name != FLAT:
            document[GROUP_FIELD] = {**document[GROUP_FIELD], "_id": _id(name, key)}
        for field, value in fields.items():
            if field in self._labels and value is not None:
                document[field] = self._label(field, value, (name, key, slice_name, field))
            elif _is_given(value):
                self._check(field, "", value)
                document[field] = value
        return document

    def _label(self, field: str, value: Any, place: tuple[str, ...]) -> Document:
        kind = self._labels[field]
        if kind not in LISTS:
            return self._attributes(field, value, place)
        inner = LISTS[kind][0]
        elements = [
            self._attributes(field, element, (*place, str(element.get("id", number))))
            for number, element in enumerate(value)
        ]
        return {"_cls": kind, inner: elements}

    def _attributes(self, field: str, attributes: Fields, place: tuple[str, ...]) -> Document:
        bare = self._bare[self._labels[field]]
        document = {**bare, "_id": _id(*place), "tags": []} if "_id" in bare else {**bare}
        for name, value in attributes.items():
            if value is not None and name != "id":
                self._check(field, name, value)
                document[name] = value
        return document

    def _check(self, field: str, attribute: str, value: Any) -> None:
        known = self._types.get((field, attribute))
        if known is None:
            raise _UndeclaredError
        if type(value) is not known:
            where = f"{field}.{attribute}" if attribute else field
            raise TypeError(f"{where} holds {known.__name__}, and here {type(value).__name__}: {value!r}")

    def _declare(self, row: Row) -> None:
        """Have FiftyOne declare all that a row has, by adding it and removing it again."""
        group = fo.Group()
        samples = []
        for name, fields in row.slices.items():
            given = {field: self._as_label(field, value) for field, value in fields.items()}
            if name != FLAT:
                given[GROUP_FIELD] = group.element(name)
            samples.append(fo.Sample(**given))
            self._note_types(fields)
        ids = self._dataset.add_samples(samples, dynamic=True, progress=False)
        found = {entry["_id"]: entry for entry in self._dataset._sample_collection.find({"_id": {"$in": _oids(ids)}})}
        for (name, fields), number in zip(row.slices.items(), _oids(ids), strict=True):
            self._samples[name] = {field: value for field, value in found[number].items() if field not in fields}
        self._dataset.delete_samples(ids)

    def _note_types(self, fields: Fields) -> None:
        for field, value in fields.items():
            kind = self._labels.get(field)
            if kind is None and _is_given(value):
                self._types.setdefault((field, ""), type(value))
            for attributes in (value or ()) if kind in LISTS else [value] if kind and value else ():
                for name, held in attributes.items():
                    if held is not None:
                        self._types.setdefault((field, name), type(held))

    def _as_label(self, field: str, value: Any) -> Any:
        kind = self._labels.get(field)
        if kind is None or value is None:
            return value if _is_given(value) else None
        if kind not in LISTS:
            return getattr(fo, kind)(**value)
        inner, element = LISTS[kind]
        given = [{name: held for name, held in attributes.items() if name != "id"} for attributes in value]
        return getattr(fo, kind)(**{inner: [getattr(fo, element)(**attributes) for attributes in given]})


def _insert(dataset: Any, documents: list[Document], kept: KeptTags) -> int:
    kept.restore(documents)
    try:
        if documents:
            dataset._sample_collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        if any(fault["code"] != DUPLICATE for fault in error.details["writeErrors"]):
            raise
        raise InputError(
            f"dataset {dataset.name!r}: another browse writes it at this moment, or two of its rows have one key; wait "
            "until that one serves, and run the same command again"
        ) from error
    return len(documents)


def _is_given(value: Any) -> bool:
    return value is not None and value != []


def _bare(kind: str) -> Document:
    """The document of a label without attributes: its class and FiftyOne's defaults."""
    return {name: value for name, value in getattr(fo, kind)().to_dict().items() if value is not None}


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _id(*parts: str) -> ObjectId:
    return ObjectId(_digest(*parts)[:12])


def _rand(*parts: str) -> float:
    """What FiftyOne shuffles by: it draws from [0.999, 1)."""
    return 0.999 + int.from_bytes(_digest(*parts)[12:18], "big") / 2**48 * 0.001


def _oids(ids: Iterable[str]) -> list[ObjectId]:
    return [ObjectId(number) for number in ids]
