"""Columns: where a sample is stored -> its row in some of a batch's arrays.

A batch is read as a table, one row a sample. Each kind of content (tensors, exemplar pictures, masks) is a column that
knows how to fill its own rows; `pbe.feed.readers.sample_reader` chooses the columns of a feed.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from pbe.feed.blocks import Window
from pbe.feed.dataset import ShardIndex
from pipeline.arrays import Pixels
from pipeline.decoding.jpeg import decode_jpeg


class DamagedError(Exception):
    """What is wrong with a stored sample."""


@dataclass(frozen=True)
class StoredSample:
    """A sample where it is stored.

    Args:
        window: on the bytes of its shard.
        index: of its shard.
        row: of the index.
        ordinal: its number in the training, which decides what is random about it.
    """

    window: Window
    index: ShardIndex
    row: int
    ordinal: int

    def span(self, extension: str) -> tuple[int, int]:
        """Find a member: its offset in the shard and its size, in bytes.

        Raises:
            DamagedError: the sample has no such member.
        """
        member = self.index.members[extension]
        offset, size = int(member.offsets[self.row]), int(member.sizes[self.row])
        if size < 0:
            raise DamagedError(f"lacks .{extension}")
        return offset, size

    def read(self, extension: str) -> bytes:
        """Read a member.

        Raises:
            DamagedError: it is missing or cut short.
        """
        offset, size = self.span(extension)
        content = self.window.read(offset, size)
        if len(content) < size:
            raise DamagedError(f".{extension} ends after {len(content):,} of {size:,} bytes")
        return content

    def picture(self, extension: str, *, side: int) -> Pixels:
        """Read and decode a square JPEG member: [side, side, 3].

        Raises:
            DamagedError: it is missing, cut short, not a JPEG, or of another size.
        """
        content = self.read(extension)
        try:
            pixels = decode_jpeg(content)
        except ValueError as error:
            raise DamagedError(f".{extension} is damaged ({error})") from error
        if pixels.shape != (side, side, 3):
            raise DamagedError(f".{extension} is {pixels.shape}, not {side} px square")
        return pixels

    def check_hash(self) -> None:
        """Compare the bytes of the complete sample with the index.

        Raises:
            DamagedError: they differ.
        """
        start = int(self.index.offsets[self.row])
        content = self.window.read(start, int(self.index.ends[self.row]) - start)
        if hashlib.sha256(content).hexdigest() != self.index.sha256[self.row]:
            raise DamagedError("its sha256 is not the recorded one")


class Column(Protocol):
    """Some arrays of a batch, [b, ...] each: zeros until samples fill their rows."""

    def fill(self, slot: int, sample: StoredSample) -> None:
        """Read a sample into row `slot`.

        Raises:
            DamagedError: the sample is missing or damaged; the row may be half filled.
        """
        ...

    def clear(self, slot: int) -> None:
        """Set row `slot` back to zeros."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the arrays under the names of their fields in Batch."""
        ...


NewColumn = Callable[[int], Column]
"""Makes an empty column for a batch of that many samples."""
