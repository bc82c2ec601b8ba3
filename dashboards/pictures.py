"""Pictures: an index row -> what the trainer sees of the sample: source, masked source, exemplars and masks.

All by the functions that made the shard: the raster, the augmentation, the cut. Read by one range request each.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from pipeline.arrays import Mask, Pixels
from pipeline.decoding.jpeg import decode_jpeg
from pipeline.draws.draw import blank
from pipeline.draws.exemplars import augment_exemplar
from pipeline.draws.raster import mask_of
from pipeline.errors import PhotoError
from pipeline.pictures.cut_sources import Photos
from pipeline.pictures.stand_in import place_exemplar
from pipeline.shards.recipe import Json
from pipeline.shards.samples import Row
from pipeline.storage.folder import Folder
from schemas.samples import EXEMPLAR_EXT, SOURCE_EXT, TENSORS_EXT

if TYPE_CHECKING:
    from pipeline.encoders.protocols import Codec

# Where a source comes from, the best first, and how a page says so.
ORIGINS = {
    "stored": "sources as stored in the shards",
    "cut": "sources cut anew from the photos",
    "decoded": "sources decoded from their latents by --vae",
    "placed": "no sources: they are not stored, so that the exemplar is shown at its place, on grey",
}


class SampleError(Exception):
    """A sample cannot be shown: its shard is gone or damaged. The message says which and how."""


@dataclass(frozen=True)
class SamplePictures:
    """A sample as pixels; [r, r, 3] uint8 RGB at the dataset's resolution r, exemplars at 224 px.

    Args:
        origin: of the source, a key of ORIGINS.
        note: why the source is not a better one; empty where nothing failed.
        mask: [r, r] uint8, 1 = repaint.
        stored: the JPEGs as the shard holds them, by member.
    """

    source: Pixels
    origin: str
    note: str
    mask: Mask
    exemplar: Pixels
    augmented: Pixels
    stored: dict[str, bytes]

    @cached_property
    def masked(self) -> Pixels:
        """The source with mid-grey in the hole."""
        return blank(self.source, self.mask)


class PictureReader:
    """Reads the samples of a dataset as pictures; safe for several threads."""

    def __init__(
        self, folder: Folder, recipe: Json, *, photos: Photos | None = None, vae: "Codec | None" = None
    ) -> None:
        self._folder = folder
        self._recipe = recipe
        self._photos = photos
        self._vae = vae
        self._vae_lock = threading.Lock()

    def read(self, row: Row) -> SamplePictures:
        """Read a sample by one range request.

        Raises:
            SampleError: its shard is gone or damaged.
        """
        wanted = [EXEMPLAR_EXT, SOURCE_EXT] if self._vae is None else [EXEMPLAR_EXT, SOURCE_EXT, TENSORS_EXT]
        with _explained(row):
            members = _read_members(self._folder, row, wanted)
            exemplar = decode_jpeg(members[EXEMPLAR_EXT])
            source, origin, note = self._find_source(row, members, exemplar)
        augmented, _ = augment_exemplar(exemplar, seed=self._recipe["seed"], image_id=row["image_id"], draw=row["draw"])
        mask = mask_of(row, self._recipe["resolution"])
        return SamplePictures(source, origin, note, mask, exemplar, augmented, members)

    def _find_source(self, row: Row, members: dict[str, bytes], exemplar: Pixels) -> tuple[Pixels, str, str]:
        """Find the best source there is; what failed of a better one is noted."""
        size, note = self._recipe["resolution"], ""
        if SOURCE_EXT in members:
            return decode_jpeg(members[SOURCE_EXT]), "stored", note
        if self._photos:
            try:
                return self._photos.cut_source(row), "cut", note
            except (PhotoError, OSError) as error:
                note = f"the photo of {row['image_id']} cannot be shown: {error}"
        if self._vae is not None:
            return self._decode(members[TENSORS_EXT]), "decoded", note
        return place_exemplar(exemplar, row, size), "placed", note

    def _decode(self, tensors: bytes) -> Pixels:
        """Decode a stored latent.

        Raises:
            ValueError: what comes out is not finite.
        """
        import torch

        assert self._vae is not None
        latent = torch.from_numpy(safetensors.numpy.load(tensors)["latent"]).float()
        with self._vae_lock:
            image = self._vae.decode(latent[None])[0]
        if not image.isfinite().all():
            raise ValueError("its latent does not decode to finite numbers")
        pixels: Pixels = (image.cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        return pixels


def read_vector(folder: Folder, row: Row) -> NDArray[np.float16]:
    """Read the stored exemplar vector of a sample, [d], by one range request.

    Args:
        row: `key`, `shard` and `members` of the index.

    Raises:
        SampleError: its shard is gone or damaged.
    """
    with _explained(row):
        members = _read_members(folder, row, [TENSORS_EXT])
        vector: NDArray[np.float16] = safetensors.numpy.load(members[TENSORS_EXT])["exemplar"]
        return vector


@contextmanager
def _explained(row: Row) -> Iterator[None]:
    """Say of which sample and shard a fault is."""
    try:
        yield
    except FileNotFoundError as error:
        raise SampleError(f"{row['shard']} is gone") from error
    except (PermissionError, IsADirectoryError) as error:
        raise SampleError(f"{row['shard']} cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, safetensors.SafetensorError) as error:
        raise SampleError(f"{row['shard']}: sample {row['key']} is damaged ({error})") from error


def _read_members(folder: Folder, row: Row, wanted: list[str]) -> dict[str, bytes]:
    """Read some members of a sample by one range request that spans them."""
    places = {member["ext"]: member for member in row["members"] if member["ext"] in wanted}
    first = min(place["offset"] for place in places.values())
    end = max(place["offset"] + place["size"] for place in places.values())
    span = folder.read_range(row["shard"], first, end - first)
    if len(span) < end - first:
        raise ValueError("the shard is cut short")
    return {ext: span[place["offset"] - first :][: place["size"]] for ext, place in places.items()}
