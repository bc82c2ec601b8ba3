"""Cut sources: an index row and the photos -> the sample's source, as it was cut when the sample was drawn."""

from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.arrays import Pixels
from pipeline.decoding.decode import Photo, decode_photo
from pipeline.decoding.resize import cut
from pipeline.draws.jitter import jitter_of, jitter_pixels
from pipeline.errors import PhotoError
from pipeline.photos.fingerprints import photo_sha256
from pipeline.photos.id_forms import IdForms, forms_of
from pipeline.photos.store import PhotoStore
from pipeline.shards.recipe import Json
from pipeline.shards.samples import Row

MEGAPIXEL = 1_000_000


@dataclass(frozen=True)
class Photos:
    """Photos by image id, from folders and tar files, turned upright as the dataset's recipe says."""

    store: PhotoStore
    recipe: Json
    _places: dict[IdForms, dict[str, Json]] = field(default_factory=dict, init=False)

    def read(self, image_id: str) -> bytes:
        """Read a photo's bytes.

        Raises:
            PhotoError: it is not there.
            OSError: storage failed.
        """
        forms = forms_of(pa.array([image_id]))
        if forms not in self._places:
            self._places[forms] = self._list_places(forms)
        return self.store.fetch(image_id, **self._places[forms].get(image_id, {}))

    def upright(self, data: bytes, *, rotation: float | None) -> Photo:
        """Decode a photo and turn it upright.

        Raises:
            PhotoError: with the reason.
        """
        return decode_photo(
            data,
            rotation=rotation,
            boxes_frame=self.recipe["boxes_frame"],
            max_pixels=int(self.recipe["max_photo_megapixels"] * MEGAPIXEL),
            min_px=1,
        )

    def cut_source(self, row: Row) -> Pixels:
        """Cut the source of a sample out of its photo again, and jitter it as it was.

        Args:
            row: of the index.

        Returns:
            [r, r, 3] uint8 RGB at the dataset's resolution r.

        Raises:
            PhotoError: the photo is missing, unreadable, or not the one that the sample was drawn from.
            OSError: storage failed.
        """
        data = self.read(row["image_id"])
        if photo_sha256(data) != row["photo_sha256"]:
            raise PhotoError("changed", "it is not the photo that the sample was drawn from")
        upright = self.upright(data, rotation=rotation_of(row["orientation"]))
        return jitter_pixels(cut(upright.pixels, row["crop"], self.recipe["resolution"]), jitter_of(row))

    def cut_if_there(self, row: Row) -> Pixels | None:
        """Cut the source of a sample, or give None where its photo is gone, or is another one now."""
        try:
            return self.cut_source(row)
        except PhotoError:
            return None

    def _list_places(self, forms: IdForms) -> dict[str, Json]:
        """List where photos lie in tar files: of several places the first, as the job does."""
        names = {"archive": "archive", "archive_offset": "offset", "archive_size": "size"}
        found: dict[str, Json] = {}
        for table in self.store.archived(forms):
            for row in table.to_pylist():
                found.setdefault(row["image_id"], {ours: row[theirs] for theirs, ours in names.items()})
        return found


def rotation_of(orientation: str) -> float | None:
    """Read the Rotation column's degrees back from an index row's orientation; None where EXIF decided."""
    kind, _, degrees = orientation.partition(":")
    return float(degrees) if kind == "rotation" else None
