import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.feed.config import FeedConfig
from pbe.feed.order import Position
from pbe.feed.training_feed import Feed
from pipeline.errors import InputError
from pipeline.rng import rng_for
from pipeline.storage.folder import Folder
from schemas.shards import MANIFEST, SHARDS, SHARDS_TABLE, shard_path
from tests.pbe.feed.feeds import assert_equal, joined, take
from tests.synthetic import write_manifest, write_synthetic


@pytest.mark.heavy
@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_global_batches_are_the_same_for_every_world_size_accumulation_and_number_of_workers(
    config: FeedConfig, world: int, accumulation: int
) -> None:
    whole = [step.batches for step in take(Feed(config), 9)]
    for workers in range(5):
        feeds = [
            Feed(replace(config, workers=workers), rank=rank, world=world, accumulation=accumulation)
            for rank in range(world)
        ]
        ranks = [take(feed, 9) for feed in feeds]
        for number, expected in enumerate(whole):
            parts = [rank[number].batches for rank in ranks]
            assert all(len(batches) == accumulation for batches in parts)
            assert_equal(joined([batch for batches in parts for batch in batches]), joined(expected))
            for micro in range(accumulation):
                together = joined([batches[micro] for batches in parts])["keys"]
                part = len(expected[0].keys) // accumulation
                assert together == expected[0].keys[micro * part : (micro + 1) * part]


def test_an_epoch_sees_each_photo_once_and_the_next_one_the_next_draw(config: FeedConfig) -> None:
    feed = Feed(config)
    steps = take(feed, 4 * 4)
    for epoch in range(4):
        keys = [key for step in steps if step.position.epoch == epoch for key in step.batches[0].keys]
        photos = {key.split("-")[0] for key in keys}
        assert len(photos) == len(keys) == 32
        assert {key.split("-")[2] for key in keys} == {str(epoch % 3)}
    assert [feed.describe(epoch).dropped for epoch in (0, 1)] == [3, 4]
    assert [step.after for step in steps] == [step.position for step in steps[1:]] + [Position(4, 0)]


@pytest.mark.heavy
@settings(max_examples=15)
@given(st.integers(0, 11), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]))
def test_a_resumed_run_repeats_and_skips_nothing_also_on_other_ranks(
    config: FeedConfig, stop: int, before: int, after: int
) -> None:
    whole = joined([step.batches[0] for step in take(Feed(config), 12)])
    first = [take(Feed(config, rank=rank, world=before), stop) for rank in range(before)]
    position = first[0][-1].after if stop else Position()
    saved = json.loads(json.dumps(Feed(config).state(position)))
    feeds = [Feed(config, rank=rank, world=after) for rank in range(after)]
    rest = [take(feed, 12 - stop, feed.resume(saved)) for feed in feeds]
    assert_equal(joined([batch for rank in (*first, *rest) for step in rank for batch in step.batches]), whole)


def test_a_position_of_another_order_is_refused(config: FeedConfig, synthetic: Path, tmp_path: Path) -> None:
    saved = Feed(config).state(Position(1, 2))
    with pytest.raises(InputError, match="seed 5, now it is 6"):
        Feed(replace(config, seed=6)).resume(saved)
    write_synthetic(tmp_path / "d", [[30], [30]])
    with pytest.raises(InputError, match="dataset"):
        Feed(replace(config, data=str(tmp_path / "d"))).resume(saved)


def test_noise_is_that_of_seed_and_ordinal_and_a_fifth_is_dropped(config: FeedConfig) -> None:
    whole = joined([step.batches[0] for step in take(Feed(config), 40)])
    for ordinal in (0, 100, 319):
        noise = rng_for(5, "noise", "train", ordinal).standard_normal((4, 4, 4), dtype=np.float32)
        assert torch.equal(whole["noise"][ordinal], torch.from_numpy(noise))
    assert 0.13 < whole["drop"].float().mean() < 0.27
    assert whole["timesteps"].min() < 30 and whole["timesteps"].max() > 970
    assert len(whole["timesteps"].unique()) > 200
    other = joined([step.batches[0] for step in take(Feed(replace(config, seed=6)), 4)])
    assert not torch.isin(other["noise"].flatten(), whole["noise"].flatten()).all()
    none = joined([step.batches[0] for step in take(Feed(replace(config, drop_share=0.0)), 4)])
    assert not none["drop"].any()
    assert torch.equal(none["noise"], whole["noise"][:32]) and torch.equal(none["timesteps"], whole["timesteps"][:32])


def test_what_does_not_fit_is_refused_naming_the_numbers(config: FeedConfig) -> None:
    with pytest.raises(InputError, match="draw 0 has 35 samples, fewer than one global batch of 64"):
        Feed(replace(config, batch_size=64))
    with pytest.raises(InputError, match="world size 3 does not divide the 4 lanes; allowed: 1, 2, 4"):
        Feed(config, rank=0, world=3)
    with pytest.raises(InputError, match="do not divide the global batch of 8"):
        Feed(config, rank=0, world=2, accumulation=3)


def test_open_images_with_ten_draws_opens_and_reaches_any_position_in_seconds(
    config: FeedConfig, synthetic: Path, tmp_path: Path
) -> None:
    rows = [
        {"name": shard_path("train", unit, draw), "split": "train", "unit": unit, "draw": draw}
        | {"samples": 1000 - unit % 50, "bytes": 86_000_000, "sha256": "0" * 64}
        for unit in range(1900)
        for draw in range(10)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARDS), tmp_path / SHARDS_TABLE)
    manifest = json.loads((synthetic / MANIFEST).read_text())
    digest = hashlib.sha256((tmp_path / SHARDS_TABLE).read_bytes()).hexdigest()
    write_manifest(Folder(str(tmp_path)), {**manifest, "draws": 10, "files": {SHARDS_TABLE: digest}})
    began = time.process_time()
    feed = Feed(replace(config, data=str(tmp_path), batch_size=1024, lanes=64, block=64))
    for epoch in (0, 19):
        feed.order.places(Position(epoch, feed.describe(epoch).steps - 1), np.arange(1024))
    assert time.process_time() - began < 3
