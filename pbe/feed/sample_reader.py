"""Sample reader: places in the dataset -> what their samples hold, ready for the model."""

from dataclasses import dataclass, field

import numpy as np
import torch

from pbe.feed.blocks import Block, Reader
from pbe.feed.columns import DamagedError, NewColumn, StoredSample
from pbe.feed.config import OnBadSample
from pbe.feed.dataset import Dataset, Shard, ShardIndex
from pbe.feed.order import Numbers, Places
from pipeline.errors import InputError
from pipeline.hints import verify_command


class SampleError(InputError):
    """A sample is missing or damaged: the message names shard and key."""


@dataclass(frozen=True)
class Content:
    """The stored part of a batch, see Batch."""

    keys: list[str]
    latents: torch.Tensor
    masked_latents: torch.Tensor
    masks: torch.Tensor
    exemplars: torch.Tensor
    weights: torch.Tensor
    masked_sources: torch.Tensor | None = None


@dataclass(frozen=True)
class SampleReader:
    """Reads samples of one dataset; any thread may.

    Args:
        columns: of a batch. Where two fill the same field, the later one counts.
        on_bad, check_hashes: as in FeedConfig.
    """

    dataset: Dataset
    columns: tuple[NewColumn, ...]
    on_bad: OnBadSample
    check_hashes: bool
    bad: dict[int, str] = field(default_factory=dict)
    """What was wrong with skipped samples, by ordinal."""

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
        count = len(ordinals)
        columns = [new(count) for new in self.columns]
        keys, weights = [""] * count, torch.zeros(count)
        for slot in np.flatnonzero(places.shards >= 0).tolist():
            shard, index, block = self.block(places, slot)
            row, ordinal = int(places.rows[slot]), int(ordinals[slot])
            keys[slot] = index.keys[row]
            name = f"{self.dataset.folder.url}/{shard.name}: sample {keys[slot]}"
            try:
                sample = StoredSample(reader.window(block), index, row, ordinal)
                if self.check_hashes:
                    sample.check_hash()
                for column in columns:
                    column.fill(slot, sample)
                weights[slot] = 1
            except (DamagedError, FileNotFoundError) as error:
                self._pass_over(ordinal, f"{name}: {error}", error)
                for column in columns:
                    column.clear(slot)
            except OSError as error:
                raise OSError(f"{name}: {error}") from error
        filled: dict[str, torch.Tensor] = {}
        for column in columns:
            filled |= column.tensors()
        return Content(keys=keys, weights=weights, **filled)

    def _pass_over(self, ordinal: int, problem: str, cause: Exception) -> None:
        """Record a bad sample.

        Raises:
            SampleError: it is not to be skipped.
        """
        if self.on_bad == "stop":
            remedy = f"run `{verify_command(self.dataset.folder.url)}`, or give --bad-samples skip"
            raise SampleError(f"{problem}; {remedy}") from cause
        self.bad[ordinal] = problem
