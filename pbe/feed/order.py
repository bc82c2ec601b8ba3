"""Order: sample counts of shards -> which sample fills which slot of which global batch, for any step directly.

An epoch is one virtual sequence: the shards of its draw (epoch e takes draw e mod draws), permuted by seed and epoch.
It is cut by sample count into L lanes of floor(N / L) consecutive samples each, and each lane into blocks of W
consecutive samples, each shuffled by a seeded permutation. Slot k of a global batch belongs to lane k mod L. So the
global batches depend on the dataset, the seed and the epoch alone.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.rng import rng_for

Numbers = NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Position:
    """A point of the training between two steps: `step` global batches of this epoch are done."""

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class Places:
    """Where the samples of some slots lie.

    Args:
        draw: of all of them.
        shards: [n] number of the shard in its draw; -1 for an empty slot.
        rows: [n] number of the sample in its shard.
        firsts, stops: [n] rows of the same shard that belong to the same block: firsts <= rows < stops.
        until: [n] the last step of the epoch that takes samples from the block.
    """

    draw: int
    shards: Numbers
    rows: Numbers
    firsts: Numbers
    stops: Numbers
    until: Numbers


@dataclass(frozen=True)
class EpochCount:
    """What becomes of the samples of an epoch; those dropped are fewer than a global batch."""

    epoch: int
    draw: int
    samples: int
    steps: int
    dropped: int


class Order:
    """The global order of samples.

    Args:
        counts: by draw, the samples of each of its shards, in the order of the shards table.
        batch: samples of a global batch.
        lanes: L, a divisor of `batch`; world sizes must divide it.
        block: W, samples shuffled among themselves.

    Raises:
        InputError: the lanes do not divide the batch, or a draw has no full batch.
    """

    def __init__(self, counts: Sequence[Sequence[int] | Numbers], *, batch: int, lanes: int, block: int, seed: int):
        if min(batch, lanes, block) < 1:
            raise InputError(f"batch {batch}, lanes {lanes}, block {block}: give whole numbers from 1")
        if batch % lanes:
            raise InputError(f"{lanes} lanes do not divide the global batch of {batch}; give one of {divisors(batch)}")
        self.batch, self.lanes, self.block, self.seed = batch, lanes, block, seed
        self.counts = [np.asarray(count, np.int64) for count in counts]
        self._samples = [int(count.sum()) for count in self.counts]
        for draw, samples in enumerate(self._samples):
            if samples < batch:
                raise InputError(
                    f"draw {draw} has {samples} samples, fewer than one global batch of {batch}; "
                    "lower the batch size or make a larger dataset"
                )
        # [draws + 1] global batches before each epoch of the first cycle through the draws, and after the last. All
        # cycles have equally many, so that any epoch's first step is known without counting through those before it.
        self._steps_before = np.cumsum([0, *(samples // batch for samples in self._samples)]).tolist()
        self._layout = lru_cache(maxsize=4)(self._lay_out)

    @property
    def draws(self) -> int:
        """How many epochs pass before a draw comes again."""
        return len(self.counts)

    def count(self, epoch: int) -> EpochCount:
        """Count an epoch's samples, steps, and the samples of its last, incomplete batch."""
        draw = epoch % self.draws
        steps, dropped = divmod(self._samples[draw], self.batch)
        return EpochCount(epoch, draw, self._samples[draw], steps, dropped)

    def steps_before(self, position: Position) -> int:
        """Count the global batches from the start of the training to a position: the inverse of `position`."""
        cycles, draw = divmod(position.epoch, self.draws)
        return int(cycles * self._steps_before[-1] + self._steps_before[draw] + position.step)

    def position(self, steps: int) -> Position:
        """Find the position after that many global batches; there is always a batch to come in its epoch."""
        cycles, rest = divmod(steps, self._steps_before[-1])
        draw = bisect_right(self._steps_before, rest) - 1
        return Position(cycles * self.draws + draw, rest - self._steps_before[draw])

    def ordinals(self, position: Position, slots: Numbers) -> Numbers:
        """Number the samples of a global batch through all epochs of the training."""
        return self.steps_before(position) * self.batch + slots

    def places(self, position: Position, slots: Numbers) -> Places:
        """Find the samples of a global batch.

        Args:
            position: of the batch; its step must exist in its epoch.
            slots: [n] of the batch, 0 .. batch - 1.
        """
        # Slots are dealt to the lanes round robin: a rank, which takes every world-th slot, reads lanes of its own.
        # Each lane gives its next `each` samples to a batch; `index` is where they lie in the lane before shuffling.
        lane_size = self._samples[position.epoch % self.draws] // self.lanes
        lanes = slots % self.lanes
        each = self.batch // self.lanes
        index = position.step * each + slots // self.lanes
        # The block that each sample comes from; the last one of a lane may be shorter.
        begins = index // self.block * self.block
        ends = np.minimum(begins + self.block, lane_size)
        shuffled = self._shuffle_blocks(position.epoch, lanes, index, begins, ends)
        # From the lanes to the virtual sequence, which starts with lane 0, and from there to this epoch's shards.
        origins = lanes * lane_size
        shards, starts = self._layout(position.epoch)
        numbers, rows, firsts, stops = locate(starts, origins + shuffled, origins + begins, origins + ends)
        draw = position.epoch % self.draws
        return Places(draw, shards[numbers], rows, firsts, stops, until=(ends - 1) // each)

    def _shuffle_blocks(self, epoch: int, lanes: Numbers, index: Numbers, begins: Numbers, ends: Numbers) -> Numbers:
        """Replace each index in a lane by the one that its block's permutation puts there: [n] -> [n]."""
        shuffled = np.empty_like(index)
        # A batch crosses few blocks of a lane, and one permutation covers the same block of all lanes.
        for begin in np.unique(begins).tolist():
            in_block = begins == begin
            width = int(ends[in_block][0]) - begin
            permutations = _permute_block(self.seed, epoch, begin, self.lanes, width)
            shuffled[in_block] = begin + permutations[lanes[in_block], index[in_block] - begin]
        return shuffled

    def _lay_out(self, epoch: int) -> tuple[Numbers, Numbers]:
        """Permute an epoch's shards: their numbers, [s], and where each starts in the virtual sequence, [s + 1]."""
        counts = self.counts[epoch % self.draws]
        shards = rng_for(self.seed, "shard order", epoch).permutation(len(counts)).astype(np.int64)
        return shards, np.concatenate([[0], np.cumsum(counts[shards])])


class StoredOrder:
    """All samples of one draw as they are stored: the order of validation.

    Args:
        counts: the samples of each shard.
        batch: samples of a global batch; the last one has empty slots.
        limit: take only that many samples, the first ones; 0: all.
    """

    def __init__(self, counts: Sequence[int] | Numbers, *, batch: int, block: int, limit: int = 0):
        self.batch, self.block = batch, block
        self._starts = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)
        total = int(self._starts[-1])
        self.samples = min(total, limit) if limit else total
        self.steps = -(-self.samples // batch)

    def places(self, step: int, slots: Numbers) -> Places:
        """Find the samples of a batch; slots beyond the last sample are empty."""
        # Empty slots of the last batch look up sample 0, which keeps the arithmetic in range, and then lose its shard.
        index = step * self.batch + slots
        full = index < self.samples
        inside = np.where(full, index, 0)
        begins = inside // self.block * self.block
        ends = np.minimum(begins + self.block, self.samples)
        shards, rows, firsts, stops = locate(self._starts, inside, begins, ends)
        return Places(0, np.where(full, shards, -1), rows, firsts, stops, until=(ends - 1) // self.batch)


def locate(starts: Numbers, at: Numbers, begins: Numbers, ends: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Find positions of a sequence of shards.

    Args:
        starts: [s + 1] where each shard starts, and the end.
        at: [n] positions; begins, ends: [n] the ranges around them that are read together.

    Returns:
        [n] each: shard, row in it, and the first and last + 1 row of it that lie in the range.
    """
    # Ranges may cross shards: each position keeps the part of its range that lies in its own shard.
    shards = np.searchsorted(starts, at, side="right") - 1
    base = starts[shards]
    return shards, at - base, np.maximum(begins - base, 0), np.minimum(ends, starts[shards + 1]) - base


def own_slots(batch: int, *, rank: int, world: int, accumulation: int = 1) -> list[Numbers]:
    """Deal the slots of a global batch: a rank takes every world-th slot, a micro-batch an equal run of those.

    So for every world size, the m-th micro-batches of all ranks together are the m-th part of the global batch.

    Returns:
        [batch / world / accumulation] ascending, by micro-batch.

    Raises:
        InputError: the batch cannot be dealt equally.
    """
    if batch % (world * accumulation):
        raise InputError(
            f"{world} ranks x {accumulation} micro-batches do not divide the global batch of {batch}; "
            f"give an accumulation from {divisors(batch // world) if batch % world == 0 else divisors(batch)}"
        )
    return np.split(np.arange(rank, batch, world, dtype=np.int64), accumulation)


def check_world(world: int, *, lanes: int) -> None:
    """Refuse a world size that would cut through a lane.

    Raises:
        InputError: naming the allowed sizes.
    """
    if lanes % world:
        raise InputError(f"world size {world} does not divide the {lanes} lanes; allowed: {divisors(lanes)}")


def divisors(number: int) -> str:
    """List a number's divisors, as in `1, 2, 4`."""
    return ", ".join(str(part) for part in range(1, number + 1) if number % part == 0)


@lru_cache(maxsize=8)
def _permute_block(seed: int, epoch: int, begin: int, lanes: int, width: int) -> Numbers:
    """Permute the blocks that begin at one index of all lanes: [lanes, width], a permutation of 0 .. width - 1 each."""
    numbers = np.tile(np.arange(width, dtype=np.int64), (lanes, 1))
    return rng_for(seed, "sample order", epoch, begin).permuted(numbers, axis=1)
