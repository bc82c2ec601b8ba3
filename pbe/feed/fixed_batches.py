"""Fixed batches: chosen samples -> the same batches every time, for validation."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from pbe.batch import Batch
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import Dataset, open_dataset
from pbe.feed.order import StoredOrder, own_slots
from pbe.feed.readers import make_batch, open_reader, prepare, sample_reader, steps_under_way


def fixed_batches(
    config: FeedConfig, *, dataset: Dataset | None = None, rank: int = 0, world: int = 1, limit: int = 0
) -> Iterator[Batch]:
    """Read the samples of draw 0 as they are stored, each once, with the same noise and timesteps every time.

    All ranks get equally many batches of equal size; slots beyond the last sample are zeros of weight 0 without a key.

    Args:
        dataset: the split, opened before; None: it is opened here.
        limit: take only that many samples, the first ones; 0: all.
    """
    dataset = dataset or open_dataset(
        config.data, split=config.split, draws=config.draws, block=config.block, anonymous=config.anonymous
    )
    order = StoredOrder(dataset.counts[0], batch=config.batch_size, block=config.block, limit=limit)
    [slots] = own_slots(config.batch_size, rank=rank, world=world)
    samples = sample_reader(dataset, config)
    with open_reader(dataset, config, lanes=1) as reader:

        def build(step: int) -> Batch:
            places = order.places(step, slots)
            if reader.looks_ahead:
                # Workers may still be reading for steps before this one, as many as can be under way.
                full = np.flatnonzero(places.shards >= 0).tolist()
                needed = {samples.block(places, slot)[2]: int(places.until[slot]) for slot in full}
                reader.fetch_ahead(needed.items(), now=step - steps_under_way(config.workers))
            return make_batch(samples, places, step * config.batch_size + slots, reader, config)

        with closing(prepare(build, range(order.steps), workers=config.workers)) as batches:
            yield from batches


def fixed_feed(feed: FeedConfig, *, split: str, bottleneck: bool, batch_size: int) -> FeedConfig:
    """Return the settings that read a split the same way every time: nothing augmented live, nothing dropped."""
    exemplar = "cached" if feed.exemplar == "live" and bottleneck else feed.exemplar
    return replace(feed, split=split, exemplar=exemplar, batch_size=batch_size, drop_share=0.0, lanes=1)
