"""Readers: a dataset and a config -> what reads its samples, and batches prepared ahead."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from pbe.batch import Batch
from pbe.feed.blocks import FileReader, RangeReader, Reader, open_local
from pbe.feed.columns import NewColumn
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import Dataset, check_sources
from pbe.feed.exemplar_column import ExemplarColumn, as_stored, augment_afresh
from pbe.feed.mask_columns import BoxMasks, DrawnMasks
from pbe.feed.noise import draw_randomness
from pbe.feed.order import Numbers, Places
from pbe.feed.sample_reader import SampleReader
from pbe.feed.shard_cache import ShardCache
from pbe.feed.tensor_column import TensorColumn, TensorLayout
from pipeline.ahead import work_ahead

T = TypeVar("T")
R = TypeVar("R")
CONNECTIONS = 16  # range requests at a time
MOST_OPEN = 512  # shards; systems allow a process 1,024 open files
BATCHES_AHEAD = 2  # under way for each worker: one being built, one waiting for the caller


def sample_reader(dataset: Dataset, config: FeedConfig) -> SampleReader:
    """Choose the columns of a feed's batches.

    Raises:
        InputError: box masks are wanted from a dataset without sources.
    """
    columns: list[NewColumn] = [partial(TensorColumn, layout=TensorLayout(dataset))]
    if config.exemplar == "plain":
        columns.append(partial(ExemplarColumn, augment=as_stored))
    elif config.exemplar == "live":
        afresh = partial(augment_afresh, seed=config.seed, split=dataset.split)
        columns.append(partial(ExemplarColumn, augment=afresh))
    if config.masks == "box":
        check_sources(dataset)
        columns.append(partial(BoxMasks, dataset=dataset))
    else:
        columns.append(partial(DrawnMasks, dataset=dataset))
    return SampleReader(dataset, tuple(columns), config.bad_samples, config.check_hashes)


def make_batch(samples: SampleReader, places: Places, ordinals: Numbers, reader: Reader, config: FeedConfig) -> Batch:
    """Read the samples of some places, and draw their noise."""
    content = samples.read(places, ordinals, reader)
    return draw_randomness(content, ordinals, seed=config.seed, split=config.split, drop_share=config.drop_share)


@contextmanager
def open_reader(dataset: Dataset, config: FeedConfig, *, lanes: int) -> Iterator[Reader]:
    """Open a dataset the way that suits its place: its own files, cached files, or range requests."""
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
    """Build batches in order: ahead of the caller on threads or, without workers, when they are asked for."""
    if workers == 0:
        yield from map(build, tasks)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="feed")
    try:
        yield from work_ahead(pool, build, tasks, ahead=BATCHES_AHEAD * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def steps_under_way(workers: int) -> int:
    """Count the steps back from the newest one that batches not yet handed out may belong to, at most."""
    return BATCHES_AHEAD * workers + 2
