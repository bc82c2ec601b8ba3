"""Samples: places in the dataset -> tensors ready for the model.

Local bytes travel once: from the page cache straight into the batch's arrays.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray

from pbe.feed.blocks import Block, Reader, Window
from pbe.feed.config import ExemplarMode, MaskMode, OnBadSample
from pbe.feed.dataset import Dataset, Member, Shard, ShardIndex
from pbe.feed.order import Numbers, Places
from pipeline.arrays import Pixels
from pipeline.draws.exemplars import augment_with
from pipeline.draws.masks import raster_mask, rectangle, reduce_mask
from pipeline.encoders.clip import clip_normalise
from pipeline.encoders.pixels import blank_signed, signed, unit_pixels
from pipeline.errors import InputError
from pipeline.photos.jpeg import decode_jpeg
from pipeline.rng import rng_for
from pipeline.shards.samples import tensor_member
from schemas.samples import EXEMPLAR_EXT, EXEMPLAR_PX, SOURCE_EXT, TENSORS_EXT


class _Damaged(Exception):
    """What is wrong with a member."""


class SampleError(InputError):
    """A sample is missing or damaged: the message names shard and key."""


@dataclass(frozen=True)
class Content:
    """What was read of a batch, as in Batch."""

    keys: list[str]
    latents: torch.Tensor
    masked_latents: torch.Tensor
    masks: torch.Tensor
    exemplars: torch.Tensor
    weights: torch.Tensor
    masked_sources: torch.Tensor | None


@dataclass(frozen=True)
class SampleReader:
    """Reads samples of one dataset; any thread may.

    Args:
        exemplar, masks, on_bad, check_hashes: as in FeedConfig.
    """

    dataset: Dataset
    exemplar: ExemplarMode
    masks: MaskMode
    on_bad: OnBadSample
    check_hashes: bool
    seed: int
    bad: dict[int, str] = field(default_factory=dict)
    """What was wrong with skipped samples, by ordinal."""
    _header: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Work out how the tensor member of every sample begins."""
        latent, vector = np.zeros(self.latent_shape, np.float16), np.zeros(self.dataset.dimension, np.float16)
        member = tensor_member(latent, latent, vector)
        object.__setattr__(self, "_header", member[: len(member) - 2 * (2 * latent.size + vector.size)])

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        side = self.dataset.resolution // self.dataset.factor
        return self.dataset.channels, side, side

    def block(self, places: Places, slot: int) -> tuple[Shard, ShardIndex, Block]:
        """Find shard, index and byte range of a slot."""
        shard = self.dataset.shards[places.draw][places.shards[slot]]
        index = self.dataset.index(shard)
        start, stop = index.offsets[places.firsts[slot]], index.ends[places.stops[slot] - 1]
        return shard, index, Block(shard, int(start), int(stop))

    def read(self, places: Places, ordinals: Numbers, reader: Reader) -> Content:
        """Read samples; empty slots and skipped samples are zeros of weight 0.

        Raises:
            SampleError: a sample is missing or damaged, and is not to be skipped.
            OSError: storage failed.
        """
        count, (c, h, w) = len(ordinals), self.latent_shape
        latents = torch.zeros((2, count, c, h, w), dtype=torch.float16)
        masks = torch.zeros((count, 1, h, w))
        vectors = torch.zeros((count, self.dataset.dimension), dtype=torch.float16)
        pixels = np.zeros((0 if self.exemplar == "cached" else count, EXEMPLAR_PX, EXEMPLAR_PX, 3), np.uint8)
        side = self.dataset.resolution if self.masks == "box" else 0
        sources, rasters = np.zeros((count, side, side, 3), np.uint8), np.zeros((count, side, side), np.uint8)
        weights = torch.zeros(count)
        # Members lie in the file in the order of their names.
        rows = [part.view(torch.uint8).reshape(count, -1).numpy() for part in (vectors, latents[0], latents[1])]
        keys = []
        for slot in range(count):
            if places.shards[slot] < 0:
                keys.append("")
                continue
            shard, index, block = self.block(places, slot)
            row = int(places.rows[slot])
            keys.append(index.keys[row])
            try:
                window = reader.window(block)
                if self.check_hashes:
                    _check_hash(window, index, row)
                self._read_tensors(window, index.members[TENSORS_EXT], row, [part[slot] for part in rows])
                if self.exemplar != "cached":
                    pixels[slot] = self._read_exemplar(window, index.members[EXEMPLAR_EXT], row, int(ordinals[slot]))
                if self.masks == "box":
                    sources[slot] = self._read_source(window, index.members[SOURCE_EXT], row)
            except (_Damaged, FileNotFoundError) as error:
                problem = f"{self.dataset.folder.url}/{shard.name}: sample {keys[-1]}: {error}"
                if self.on_bad == "stop":
                    remedy = f"run verify_shards.py {self.dataset.folder.url}, or give --bad-samples skip"
                    raise SampleError(f"{problem}; {remedy}") from error
                self.bad[int(ordinals[slot])] = problem
                for part in (*rows, pixels, sources):
                    part[slot : slot + 1] = 0
                continue
            except OSError as error:
                raise OSError(f"{self.dataset.folder.url}/{shard.name}: sample {keys[-1]}: {error}") from error
            raster = self._raster(index, row)
            masks[slot, 0] = torch.from_numpy(reduce_mask(raster, self.dataset.factor))
            if self.masks == "box":
                rasters[slot] = raster
            weights[slot] = 1
        if self.exemplar == "cached":
            exemplars = vectors.float()
        else:
            exemplars = clip_normalise(unit_pixels(pixels)) * weights.view(-1, 1, 1, 1)
        masked_sources = blank_signed(signed(sources), rasters) if self.masks == "box" else None
        return Content(keys, latents[0].float(), latents[1].float(), masks, exemplars, weights, masked_sources)

    def _raster(self, index: ShardIndex, row: int) -> NDArray[np.uint8]:
        if self.masks == "drawn":
            return raster_mask(index.polygon(row), self.dataset.resolution)
        x0, y0, x1, y1 = index.boxes[row].tolist()
        corners = np.clip(rectangle((x0, y0, x1, y1)), 0, 1).astype(np.float32)
        return raster_mask(corners, self.dataset.resolution)

    def _read_tensors(self, window: Window, member: Member, row: int, parts: list[Pixels]) -> None:
        """Read exemplar, latent and masked latent, as bytes.

        Raises:
            _Damaged: they are missing, cut short, or not what the dataset should hold.
        """
        offset, size = int(member.offsets[row]), int(member.sizes[row])
        if size < 0:
            raise _Damaged(f"lacks .{TENSORS_EXT}")
        header = np.empty(len(self._header), np.uint8)
        read = window.fill(offset, [header, *parts])
        if read == size and header.tobytes() == self._header:
            return
        content = window.read(offset, size)
        if len(content) < size:
            raise _Damaged(f".{TENSORS_EXT} ends after {len(content):,} of {size:,} bytes")
        self._unpack(content, parts)

    def _unpack(self, content: bytes, parts: list[Pixels]) -> None:
        """Read a member whose header is written in another way.

        Raises:
            _Damaged: it is no safetensors, or not of the dataset's sizes.
        """
        try:
            arrays = safetensors.numpy.load(content)
        except safetensors.SafetensorError as error:
            raise _Damaged(f".{TENSORS_EXT} is damaged ({error})") from error
        shapes = {
            "exemplar": (self.dataset.dimension,),
            "latent": self.latent_shape,
            "masked_latent": self.latent_shape,
        }
        found = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
        if found != {name: (shape, "float16") for name, shape in shapes.items()}:
            raise _Damaged(f".{TENSORS_EXT} holds {found}, not float16 of {shapes}")
        for name, part in zip(shapes, parts, strict=True):
            part[:] = np.ascontiguousarray(arrays[name]).view(np.uint8).ravel()

    def _read_exemplar(self, window: Window, member: Member, row: int, ordinal: int) -> Pixels:
        """Read the exemplar's pixels, afresh augmented if live.

        Raises:
            _Damaged: they are missing or damaged.
        """
        exemplar = _decode(window, member, row, EXEMPLAR_EXT)
        if exemplar.shape != (EXEMPLAR_PX, EXEMPLAR_PX, 3):
            raise _Damaged(f".{EXEMPLAR_EXT} is {exemplar.shape}, not {EXEMPLAR_PX} px square")
        if self.exemplar == "plain":
            return exemplar
        return augment_with(exemplar, rng_for(self.seed, "live augmentation", self.dataset.split, ordinal))[0]

    def _read_source(self, window: Window, member: Member, row: int) -> Pixels:
        """Read the source's pixels.

        Raises:
            _Damaged: they are missing or damaged.
        """
        source = _decode(window, member, row, SOURCE_EXT)
        side = self.dataset.resolution
        if source.shape != (side, side, 3):
            raise _Damaged(f".{SOURCE_EXT} is {source.shape}, not {side} px square")
        return source


def _decode(window: Window, member: Member, row: int, extension: str) -> Pixels:
    """Read and decode a JPEG member.

    Raises:
        _Damaged: it is missing, cut short or no JPEG.
    """
    size = int(member.sizes[row])
    if size < 0:
        raise _Damaged(f"lacks .{extension}")
    content = window.read(int(member.offsets[row]), size)
    if len(content) < size:
        raise _Damaged(f".{extension} ends after {len(content):,} of {size:,} bytes")
    try:
        return decode_jpeg(content)
    except ValueError as error:
        raise _Damaged(f".{extension} is damaged ({error})") from error


def _check_hash(window: Window, index: ShardIndex, row: int) -> None:
    """Compare a whole sample's bytes with the index.

    Raises:
        _Damaged: they differ.
    """
    start = int(index.offsets[row])
    if hashlib.sha256(window.read(start, int(index.ends[row]) - start)).hexdigest() != index.sha256[row]:
        raise _Damaged("its sha256 is not the recorded one")
