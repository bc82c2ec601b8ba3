"""Cut pictures: index rows -> source, mask and exemplar of a case, as pixels."""

import hashlib
from dataclasses import dataclass

import cv2

from pipeline.arrays import Mask, PixelBox, Pixels
from pipeline.decoding.jpeg import decode_jpeg
from pipeline.draws.raster import mask_of
from pipeline.errors import PhotoError
from pipeline.pictures.cut_sources import Photos
from pipeline.shards.recipe import Json
from pipeline.shards.samples import Row
from pipeline.storage.folder import Folder
from schemas.samples import EXEMPLAR_EXT, EXEMPLAR_PX, SOURCE_EXT

MOST_STRETCH = 8  # times: of an exemplar that is thinner, the rest stays squashed


@dataclass(frozen=True)
class CutPictures:
    """The pictures of a case.

    Args:
        source: [r, r, 3] uint8 RGB at the dataset's resolution r.
        mask: [r, r] uint8, 1 = repaint, as the trainer has it.
        exemplar: [h, w, 3] uint8 RGB, in the shape of its box; the shorter side has 224 px.
    """

    source: Pixels
    mask: Mask
    exemplar: Pixels


@dataclass(frozen=True)
class Cutter:
    """Reads the pictures of cases.

    Args:
        photos: None: the dataset stores its sources.
    """

    folder: Folder
    recipe: Json
    photos: Photos | None

    def cut(self, row: Row, partner: Row) -> CutPictures:
        """Read a sample's source and mask, and the exemplar of another sample, or its own.

        Raises:
            PhotoError: the photo is gone or another one, or a sample is damaged; says which.
        """
        own = self._members(row)
        members = own if partner["key"] == row["key"] else self._members(partner)
        try:
            source = self.photos.cut_source(row) if self.photos else decode_jpeg(own[SOURCE_EXT])
            exemplar = decode_jpeg(members[EXEMPLAR_EXT])
        except (ValueError, KeyError) as error:
            raise PhotoError("damaged", f"sample {row['key']} or {partner['key']}: {error}") from error
        mask = mask_of(row, self.recipe["resolution"])
        return CutPictures(source, mask, unsquash(exemplar, partner["exemplar_box"]))

    def _members(self, row: Row) -> dict[str, bytes]:
        """Read a sample's members by one range request.

        Raises:
            PhotoError: its shard is gone, or is not what the index says.
        """
        try:
            span = self.folder.read_range(row["shard"], row["offset"], row["size"])
        except FileNotFoundError as error:
            raise PhotoError("damaged", f"{row['shard']} is gone") from error
        if hashlib.sha256(span).hexdigest() != row["sha256"]:
            raise PhotoError("damaged", f"{row['shard']}: sample {row['key']} has another sha256 than the index says")
        places = {member["ext"]: (member["offset"] - row["offset"], member["size"]) for member in row["members"]}
        return {ext: span[first : first + size] for ext, (first, size) in places.items()}


def unsquash(exemplar: Pixels, box: PixelBox) -> Pixels:
    """Give a stored exemplar the shape of the box that it was cut from; of a picture of its own that is not known."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if not width or not height:
        return exemplar
    scale = EXEMPLAR_PX / min(width, height)
    sides = [min(round(side * scale), MOST_STRETCH * EXEMPLAR_PX) for side in (width, height)]
    return cv2.resize(exemplar, sides, interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]
