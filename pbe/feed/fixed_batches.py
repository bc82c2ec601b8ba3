"""Fixed batches: chosen samples -> the same batches every time, for validation."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from pbe.batch import Batch
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import open_dataset
from pbe.feed.order import StoredOrder, own_slots
from pbe.feed.readers import make_batch, open_reader, prepare, sample_reader


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


def fixed_feed(feed: FeedConfig, *, split: str, bottleneck: bool, batch_size: int) -> FeedConfig:
    """Tell how to read the samples of a split the same way every time: nothing augmented live, nothing dropped."""
    exemplar = "cached" if feed.exemplar == "live" and bottleneck else feed.exemplar
    return replace(feed, split=split, exemplar=exemplar, batch_size=batch_size, drop_share=0.0, lanes=1)
