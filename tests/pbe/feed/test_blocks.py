import shutil
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from pbe.feed.config import FeedConfig
from pbe.feed.order import Position
from pbe.feed.sample_reader import SampleError
from pbe.feed.training_feed import Feed
from pipeline.storage import retries
from tests.pbe.feed.feeds import assert_equal, damage, joined, take


def span_of_blocks(feed: Feed, *, steps: int) -> set[tuple[str, str]]:
    """Shard and byte range of every block that the first steps touch."""
    found = set()
    for step in range(steps):
        places = feed.order.places(Position(0, step), np.arange(feed.order.batch))
        for slot in range(feed.order.batch):
            shard, _, block = feed.samples.block(places, slot)
            found.add((shard.name, f"bytes={block.start}-{block.stop - 1}"))
    return found


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_object_storage_gives_the_same_batches_by_one_range_request_a_block(
    config: FeedConfig, bucket: str, requests: list[tuple[str, str | None]], workers: int, accumulation: int
) -> None:
    feed = Feed(replace(config, data=bucket, workers=workers), accumulation=accumulation)
    remote = take(feed, 3)
    assert_equal(
        joined([batch for step in remote for batch in step.batches]),
        joined([step.batches[0] for step in take(Feed(config), 3)]),
    )
    ranges = [request for request in requests if request[0].endswith("-d00.tar")]  # of epoch 0, as far as was looked
    assert len(ranges) == len(set(ranges))
    blocks = [span_of_blocks(feed, steps=steps) for steps in (3, 4)]
    assert blocks[0] <= {(name.removeprefix("d/"), span) for name, span in ranges} <= blocks[1]
    indexes = [name for name, _ in requests if "/index/train/" in name and name.endswith("-d00.parquet")]
    assert workers or len(indexes) == len(set(indexes)) == 4


@pytest.mark.parametrize("how", ["missing shard", "cut short"])
def test_a_bad_sample_on_object_storage_stops_the_feed_by_name_or_gets_weight_0(
    config: FeedConfig, bucket: str, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    copy = shutil.copytree(synthetic, tmp_path / "copy")
    name, keys = damage(copy, how)
    fs = fsspec.filesystem("s3", **fsspec.config.conf["s3"])
    fs.rm(f"bucket/d/{name}")
    if how == "cut short":
        fs.pipe_file(f"bucket/d/{name}", (copy / name).read_bytes())
    config = replace(config, data=bucket, workers=2)
    with pytest.raises(SampleError, match=f"{bucket}/{name}: sample photo2x"):
        take(Feed(config), 4)
    steps = take(Feed(replace(config, bad_samples="skip")), 4)
    skipped = joined([step.batches[0] for step in steps])
    assert skipped["weights"].tolist() == [float(key not in keys) for key in skipped["keys"]]
