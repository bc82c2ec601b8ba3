"""Feed: a dataset -> batches in a global order that no number of ranks, workers or micro-batches changes.

    feed = Feed(FeedConfig(data="runs/demo/dataset", batch_size=2, lanes=2), rank=0, world=1)
    for step in feed.steps(Position()):
        for batch in step.batches: ...

Workers are threads: reading, decoding and drawing noise release the interpreter for most of their time, threads share
blocks and indexes, so that a block is fetched once, and they start and end with the loop.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pbe.batch import Batch
from pbe.feed.blocks import Block, FileReader, RangeReader, Reader, open_local
from pbe.feed.dataset import Dataset, open_dataset
from pbe.feed.order import EpochCount, Numbers, Order, Places, Position, StoredOrder, check_world, own_slots
from pbe.feed.sample_reader import ExemplarMode, MaskMode, OnBadSample, SampleReader, add_noise
from pbe.feed.shard_cache import ShardCache
from pipeline.ahead import work_ahead
from pipeline.errors import InputError
from schemas.samples import SOURCE_EXT

T = TypeVar("T")
R = TypeVar("R")

CONNECTIONS = 16  # range requests at a time
MOST_OPEN = 512  # shards; systems allow a process 1,024 open files


@dataclass(frozen=True)
class FeedConfig:
    """What a feed can be told."""

    data: str
    """The dataset: a folder or any fsspec URL."""
    split: str = "train"
    """The split to read."""
    seed: int = 0
    """Decides order, noise, timesteps, guidance drops and live augmentation."""
    batch_size: int = 2
    """Samples of a global batch, over all ranks and micro-batches."""
    lanes: int = 2
    """Equal parts of an epoch that are read side by side. Must divide the batch size; world sizes must divide it."""
    block: int = 64
    """Consecutive samples of a lane that are shuffled among themselves and, on object storage, fetched at once."""
    drop_share: float = 0.2
    """Share of the samples trained without their exemplar, for guidance."""
    exemplar: ExemplarMode = "cached"
    """`cached`: the stored vector. `live`: the stored picture, afresh augmented, for the encoder to be run. `plain`:
    the picture as it is stored."""
    masks: MaskMode = "drawn"
    """`drawn`: the stored polygon. `box`: the box as a rectangle; needs sources in the shards (--keep-source), since
    the stored masked latents belong to the drawn masks: encode `Batch.masked_sources` instead."""
    bad_samples: OnBadSample = "stop"
    """A missing or damaged sample stops the feed, or is passed over with weight 0."""
    check_hashes: bool = False
    """Compare each sample's bytes with the sha256 in the index."""
    workers: int = 2
    """Threads that prepare batches ahead. 0: the caller prepares them itself."""
    cache: str = ""
    """A local folder that keeps whole shards of a remote dataset. Empty: blocks are fetched and not kept."""
    cache_gb: float = 100.0
    """Size of that folder in GB; the least recently used shards leave."""
    anonymous: bool = False
    """Read a public bucket without credentials."""


@dataclass(frozen=True)
class FeedStep:
    """One rank's part of a global batch.

    Args:
        position: of the batch.
        after: where to go on once it is trained on.
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
            config.data, split=config.split, lanes=self._own_lanes, block=config.block, anonymous=config.anonymous
        )
        batch = config.batch_size
        self.order = Order(self.dataset.counts, batch=batch, lanes=config.lanes, block=config.block, seed=config.seed)
        self.slots = own_slots(batch, rank=rank, world=world, accumulation=accumulation)
        self.samples = sample_reader(self.dataset, config)

    @property
    def digest(self) -> str:
        """Of the dataset."""
        return self.dataset.digest

    @property
    def bad(self) -> dict[int, str]:
        """What was wrong with the samples passed over so far, by ordinal; those read ahead included."""
        return self.samples.bad

    def describe(self, epoch: int) -> EpochCount:
        """Count what an epoch gives and drops."""
        return self.order.count(epoch)

    def state(self, position: Position) -> dict[str, Any]:
        """Tell a position, and what gives it a meaning, as JSON."""
        order = {"seed": self.config.seed, "batch_size": self.order.batch, "lanes": self.order.lanes}
        return {**asdict(position), **order, "block": self.order.block, "dataset": self.digest}

    def resume(self, state: dict[str, Any]) -> Position:
        """Read a position that `state` told, of this or another world size.

        Raises:
            InputError: it belongs to another order of samples.
        """
        position = Position(state["epoch"], state["step"])
        for name, value in self.state(position).items():
            if state[name] != value:
                was, now = (f"{each[:12]}..." if name == "dataset" else each for each in (state[name], value))
                raise InputError(
                    f"{self.config.data}: the saved position is one of {name} {was}, now it is {now}; "
                    "go on with the old one, or start a new run"
                )
        return position

    def steps(self, start: Position) -> Iterator[FeedStep]:
        """Give this rank's batches from a position on, epoch after epoch, without end."""
        window = 2 * self.config.workers + 2  # batches under way at once
        with open_reader(self.dataset, self.config, lanes=self._own_lanes) as reader:

            def build(task: tuple[Position, int]) -> Batch:
                position, micro = task
                slots = self.slots[micro]
                if reader.looks_ahead:
                    self._expect(reader, position, slots, steps_under_way=window)
                ordinals = self.order.ordinals(position, slots)
                return make_batch(self.samples, self.order.places(position, slots), ordinals, reader, self.config)

            done = self.order.steps_before(start)
            with closing(prepare(build, self._tasks(start), workers=self.config.workers)) as batches:
                while True:
                    parts = list(islice(batches, len(self.slots)))
                    yield FeedStep(self.order.position(done), self.order.position(done + 1), parts)
                    done += 1

    def _tasks(self, start: Position) -> Iterator[tuple[Position, int]]:
        step = self.order.steps_before(start)
        while True:
            for micro in range(len(self.slots)):
                yield self.order.position(step), micro
            step += 1

    def _expect(self, reader: Reader, position: Position, slots: Numbers, *, steps_under_way: int) -> None:
        """Have the blocks of these slots fetched, and the next blocks of their lanes."""
        now = self.order.steps_before(position)
        blocks_ahead = -(-self.order.block * self.order.lanes // self.order.batch)  # in steps
        needed: dict[Block, int] = {}
        for step in (now, now + blocks_ahead):
            there = self.order.position(step)
            places = self.order.places(there, slots)
            until = places.until + (step - there.step)
            needed |= {self.samples.block(places, slot)[2]: int(until[slot]) for slot in range(len(slots))}
        reader.expect(needed.items(), now=now - steps_under_way)


def fixed_batches(config: FeedConfig, *, rank: int = 0, world: int = 1, limit: int = 0) -> Iterator[Batch]:
    """Give the samples of draw 0 as they are stored, each once, with the same noise and timesteps every time.

    All ranks get equally many batches of equal size; slots beyond the last sample are zeros of weight 0 without a key.

    Args:
        limit: take only the first so many samples; 0: all.
    """
    dataset = open_dataset(config.data, split=config.split, block=config.block, anonymous=config.anonymous)
    order = StoredOrder(dataset.counts[0], batch=config.batch_size, block=config.block, limit=limit)
    [slots] = own_slots(config.batch_size, rank=rank, world=world)
    samples = sample_reader(dataset, config)
    with open_reader(dataset, config, lanes=1) as reader:

        def build(step: int) -> Batch:
            places = order.places(step, slots)
            if reader.looks_ahead:
                full = np.flatnonzero(places.shards >= 0).tolist()
                needed = {samples.block(places, slot)[2]: int(places.until[slot]) for slot in full}
                reader.expect(needed.items(), now=step - 2 * config.workers - 2)
            return make_batch(samples, places, step * config.batch_size + slots, reader, config)

        with closing(prepare(build, range(order.steps), workers=config.workers)) as batches:
            yield from batches


def sample_reader(dataset: Dataset, config: FeedConfig) -> SampleReader:
    """Make what reads samples.

    Raises:
        InputError: box masks are asked of a dataset without sources.
    """
    if config.masks == "box":
        first = next(shard for shards in dataset.shards for shard in shards)
        if dataset.index(first).members[SOURCE_EXT].sizes.min() < 0:
            raise InputError(
                f"{config.data}: box masks need the sources, which its shards lack; make it with --keep-source"
            )
    return SampleReader(
        dataset, config.exemplar, config.masks, config.bad_samples, config.check_hashes, seed=config.seed
    )


def make_batch(samples: SampleReader, places: Places, ordinals: Numbers, reader: Reader, config: FeedConfig) -> Batch:
    """Read the samples of some places, and draw their noise."""
    content = samples.read(places, ordinals, reader)
    return add_noise(content, ordinals, seed=config.seed, split=config.split, drop_share=config.drop_share)


@contextmanager
def open_reader(dataset: Dataset, config: FeedConfig, *, lanes: int) -> Iterator[Reader]:
    """Open what fits the place of the dataset: its files, cached files, or range requests."""
    kept = min(16 + 4 * lanes, MOST_OPEN)
    reader: Reader
    if dataset.folder.local:
        reader = FileReader(open_local(dataset.folder), kept=kept)
    elif config.cache:
        cache = ShardCache(dataset.folder, Path(config.cache), int(config.cache_gb * 1e9))
        reader = FileReader(cache.open, kept=kept, connections=CONNECTIONS)
    else:
        reader = RangeReader(dataset.folder, connections=CONNECTIONS)
    try:
        yield reader
    finally:
        reader.close()


def prepare(build: Callable[[T], R], tasks: Iterable[T], *, workers: int) -> Generator[R, None, None]:
    """Build batches in order, on threads ahead of the caller, or when they are asked for."""
    if workers == 0:
        yield from map(build, tasks)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="feed")
    try:
        yield from work_ahead(pool, build, tasks, ahead=2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)
