"""Pair store: PAIRS -> photos by id, and what comes with the photo of a box, decoded."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline.errors import PhotoError
from pipeline.photos.bounded_reads import read_picture
from pipeline.photos.id_forms import IdForms
from pipeline.photos.store import PhotoStore
from pipeline.storage.folder import Folder
from schemas.boxes import ID_COLUMN


class PairStore(PhotoStore):
    """Where the photos of pairs are.

    Args:
        pairs: PAIRS.
    """

    at_hand = True
    equal_boxes = True  # a photo may stand in several pairs, with another mask in each

    def __init__(self, folder: Folder, pairs: pa.Table) -> None:
        super().__init__((), anonymous=folder.anonymous)
        self.folders.append(folder)
        self._pairs: dict[str, list[dict[str, Any]]] = {}
        for pair in pairs.to_pylist():
            self._pairs.setdefault(pair[ID_COLUMN], []).append(pair)

    def pair(self, image_id: str, box_id: int) -> dict[str, Any]:
        """The row of a box; the boxes of a photo are its rows, in order."""
        return self._pairs[image_id][box_id]

    def places(self, forms: IdForms) -> Iterator[pa.Table]:
        """List nothing: PAIRS name the one file of each photo, and its mask and exemplar have its name."""
        yield from ()

    def _read_file(self, image_id: str) -> bytes:
        name = self.pair(image_id, 0)["image"]
        if not name:
            raise PhotoError("missing", f"no photo goes with {self.pair(image_id, 0)['mask']}")
        return read_picture(self.folders[0], name)
