"""Readers: a dataset and where it lies -> what reads its samples."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pbe.batch import Batch
from pbe.feed.blocks import FileReader, RangeReader, Reader, open_local
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import Dataset
from pbe.feed.noise import draw_randomness
from pbe.feed.order import Numbers, Places
from pbe.feed.sample_reader import SampleReader
from pbe.feed.shard_cache import ShardCache
from pipeline.ahead import work_ahead
from pipeline.errors import InputError
from schemas.samples import SOURCE_EXT

T = TypeVar("T")
R = TypeVar("R")
CONNECTIONS = 16  # range requests at a time
MOST_OPEN = 512  # shards; systems allow a process 1,024 open files


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
    return draw_randomness(content, ordinals, seed=config.seed, split=config.split, drop_share=config.drop_share)


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
