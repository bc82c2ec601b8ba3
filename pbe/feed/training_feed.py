"""Training feed: a dataset -> batches, in a global order that does not depend on ranks, workers or micro-batches.

    feed = Feed(FeedConfig(data="runs/demo/dataset", batch_size=2, lanes=2), rank=0, world=1)
    for step in feed.steps(Position()):
        for batch in step.batches: ...

Workers are threads: reading, decoding and drawing noise release the interpreter lock most of the time. Threads share
blocks and indexes, so that each block is fetched once, and they start and end with the loop.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from pbe.batch import Batch
from pbe.feed.blocks import Block, Reader
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import open_dataset
from pbe.feed.order import EpochCount, Numbers, Order, Position, check_world, own_slots
from pbe.feed.readers import make_batch, open_reader, prepare, sample_reader, steps_under_way
from pipeline.errors import InputError


@dataclass(frozen=True)
class FeedStep:
    """One rank's part of a global batch.

    Args:
        position: of the batch.
        after: where to go on after it.
        batches: its micro-batches.
    """

    position: Position
    after: Position
    batches: list[Batch]


class Feed:
    """Feeds one rank of a training.

    Raises:
        InputError: the dataset, the batch, the lanes or the world size do not fit each other.
    """

    def __init__(self, config: FeedConfig, *, rank: int = 0, world: int = 1, accumulation: int = 1) -> None:
        self.config = config
        check_world(world, lanes=config.lanes)
        self._own_lanes = config.lanes // world
        self.dataset = open_dataset(
            config.data,
            split=config.split,
            draws=config.draws,
            lanes=self._own_lanes,
            block=config.block,
            anonymous=config.anonymous,
        )
        batch = config.batch_size
        self.order = Order(self.dataset.counts, batch=batch, lanes=config.lanes, block=config.block, seed=config.seed)
        self.slots = own_slots(batch, rank=rank, world=world, accumulation=accumulation)
        self.samples = sample_reader(self.dataset, config)

    @property
    def digest(self) -> str:
        """The dataset's digest."""
        return self.dataset.digest

    @property
    def bad(self) -> dict[int, str]:
        """What was wrong with the samples skipped so far, by ordinal, including those read ahead."""
        return self.samples.bad

    def describe(self, epoch: int) -> EpochCount:
        """Count the samples, steps and dropped samples of an epoch."""
        return self.order.count(epoch)

    def state(self, position: Position) -> dict[str, Any]:
        """Describe a position, and the order that gives it a meaning, as JSON values."""
        order = {"seed": self.config.seed, "batch_size": self.order.batch, "lanes": self.order.lanes}
        dataset = {"dataset": self.digest, "draws": self.order.draws}
        return {**asdict(position), **order, "block": self.order.block, **dataset}

    def resume(self, state: dict[str, Any]) -> Position:
        """Read a position from a `state`, which may come from another world size.

        Raises:
            InputError: it belongs to another order of samples.
        """
        position = Position(state["epoch"], state["step"])
        if self.dataset.contents.has_digest(state["dataset"]):  # as an earlier version wrote it, perhaps
            state = {"draws": self.order.draws, **state, "dataset": self.digest}
        for name, value in self.state(position).items():
            before = state.get(name)
            if before != value:
                saved, now = (f"{str(each)[:12]}..." if name == "dataset" else each for each in (before, value))
                raise InputError(
                    f"{self.config.data}: the checkpoint was made with {name} {saved}, now it is {now}; "
                    "go on with the old one, or start a new run"
                )
        return position

    def steps(self, start: Position) -> Iterator[FeedStep]:
        """Read this rank's batches from a position on, epoch after epoch, without end."""
        with open_reader(self.dataset, self.config, lanes=self._own_lanes) as reader:

            def build(task: tuple[Position, int]) -> Batch:
                position, micro = task
                slots = self.slots[micro]
                if reader.looks_ahead:
                    self._fetch_ahead(reader, position, slots)
                ordinals = self.order.ordinals(position, slots)
                return make_batch(self.samples, self.order.places(position, slots), ordinals, reader, self.config)

            done = self.order.steps_before(start)
            with closing(prepare(build, self._tasks(start), workers=self.config.workers)) as batches:
                while True:
                    parts = list(islice(batches, len(self.slots)))
                    yield FeedStep(self.order.position(done), self.order.position(done + 1), parts)
                    done += 1

    def _tasks(self, start: Position) -> Iterator[tuple[Position, int]]:
        """List the micro-batches from a position on: its global batch, and which of this rank's it is."""
        step = self.order.steps_before(start)
        while True:
            for micro in range(len(self.slots)):
                yield self.order.position(step), micro
            step += 1

    def _fetch_ahead(self, reader: Reader, position: Position, slots: Numbers) -> None:
        """Have the blocks of these slots fetched, and the next blocks of their lanes."""
        now = self.order.steps_before(position)
        # A lane gives batch / lanes samples to a step, so that this many steps later its next block is in use.
        block_steps = -(-self.order.block * self.order.lanes // self.order.batch)
        needed: dict[Block, int] = {}
        for step in (now, now + block_steps):
            # `places` counts steps within the epoch, the reader those of the training, which no epoch's end resets.
            at = self.order.position(step)
            places = self.order.places(at, slots)
            until = places.until + (step - at.step)
            needed |= {self.samples.block(places, slot)[2]: int(until[slot]) for slot in range(len(slots))}
        reader.fetch_ahead(needed.items(), now=now - steps_under_way(self.config.workers))
