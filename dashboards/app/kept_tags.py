"""Kept tags: tags that somebody gave in the App -> the same tags, on documents that are written anew.

Before documents are deleted their tags go to a collection of ours, and they leave it once the documents are back. So a
rebuild may be stopped anywhere, and tags of samples that a narrower selection leaves out come back with a wider one.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import fiftyone as fo
import fiftyone.core.odm as foo
from bson import ObjectId

COLLECTION = "pbe_pretrain.kept_tags"  # beside FiftyOne's collections
Document = dict[str, Any]


class KeptTags:
    """The tags of a dataset of ours, by the ids of its samples."""

    def __init__(self, dataset: Any) -> None:
        self._name = dataset.name
        self._collection = foo.get_db_conn()[COLLECTION]
        self._keep(dataset)
        self._kept: dict[ObjectId, Document] = {
            entry["_id"]: entry for entry in self._collection.find({"dataset": self._name})
        }

    def restore(self, documents: Iterable[Document]) -> None:
        """Give documents of samples, about to be written, the tags that were kept for them and their labels."""
        for document in documents:
            entry = self._kept.get(document["_id"])
            if entry is None:
                continue
            document["tags"] = [*dict.fromkeys([*document["tags"], *entry["tags"]])]
            for label in labels_of(document):
                label["tags"] = [*label["tags"], *entry["labels"].get(str(label["_id"]), ())]

    def settle(self, dataset: Any) -> None:
        """Drop what stands in the dataset's documents again."""
        self._drop(dataset, list(self._kept))

    def _keep(self, dataset: Any) -> None:
        """Copy the tags that stand in documents now; what a document says counts more than what was kept before."""
        self._drop(dataset, [entry["_id"] for entry in self._collection.find({"dataset": self._name}, {"_id": 1})])
        entries = []
        for document in tagged_documents(dataset):
            labels = {str(label["_id"]): label["tags"] for label in labels_of(document) if label["tags"]}
            entries.append({"_id": document["_id"], "dataset": self._name, "tags": document["tags"], "labels": labels})
        if entries:
            self._collection.insert_many(entries)

    def _drop(self, dataset: Any, ids: list[ObjectId]) -> None:
        there = dataset._sample_collection.find({"_id": {"$in": ids}}, {"_id": 1})
        self._collection.delete_many({"_id": {"$in": [document["_id"] for document in there]}})


def forget_tags(name: str) -> None:
    """Drop the tags that are kept for a dataset of that name."""
    foo.get_db_conn()[COLLECTION].delete_many({"dataset": name})


def tagged_documents(dataset: Any) -> Iterator[Document]:
    """Read the documents of samples that have a tag, or a label with one."""
    places = ["tags"]
    for field, kind in dataset.get_field_schema(embedded_doc_type=fo.Label).items():
        inner = getattr(kind.document_type, "_LABEL_LIST_FIELD", None)
        places.append(f"{field}.{inner}.tags" if inner else f"{field}.tags")
    yield from dataset._sample_collection.find({"$or": [{f"{place}.0": {"$exists": True}} for place in places]})


def labels_of(document: Document) -> Iterator[Document]:
    """Yield every label of a sample's document that can have tags, those in lists too."""
    for value in document.values():
        if isinstance(value, dict):
            inner = [label for listed in value.values() if isinstance(listed, list) for label in listed]
            yield from (label for label in (value, *inner) if isinstance(label, dict) and "tags" in label)
