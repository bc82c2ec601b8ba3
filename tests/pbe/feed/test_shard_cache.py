import hashlib
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from pbe.feed.config import FeedConfig
from pbe.feed.dataset import Shard, open_dataset
from pbe.feed.shard_cache import ShardCache
from pbe.feed.training_feed import Feed
from pipeline.errors import InputError
from tests.pbe.feed.feeds import assert_equal, joined, take


def test_a_shard_cache_fetches_each_shard_once_for_all_runs(
    config: FeedConfig, bucket: str, requests: list[tuple[str, str | None]], tmp_path: Path
) -> None:
    cached = replace(config, data=bucket, cache=str(tmp_path / "cache"), workers=2)
    local = joined([step.batches[0] for step in take(Feed(config), 8)])
    assert_equal(joined([step.batches[0] for step in take(Feed(cached), 8)]), local)
    assert_equal(joined([step.batches[0] for step in take(Feed(cached), 8)]), local)
    fetched = [name for name, _ in requests if name.endswith(".tar")]
    assert len(fetched) == len(set(fetched)) >= 8
    with pytest.raises(InputError, match="shard cache 1,000; raise it"):
        take(Feed(replace(cached, cache_gb=1e-6)), 1)


def _open_all(cache: ShardCache, shards: list[Shard]) -> None:
    for shard in shards:
        with cache.open(shard) as file:
            assert hashlib.sha256(file.read()).hexdigest() == shard.sha256


@pytest.mark.processes
def test_processes_share_a_bounded_cache_and_a_wrong_shard_never_enters_it(synthetic: Path, tmp_path: Path) -> None:
    dataset = open_dataset(str(synthetic), split="train")
    shards = [shard for draw in dataset.shards for shard in draw]
    limit = 3 * max(shard.bytes for shard in shards)
    cache = ShardCache(dataset.folder, tmp_path / "cache", limit)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_open_all, args=(cache, shards[k:] + shards[:k])) for k in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    files = list((tmp_path / "cache").glob("*.tar"))
    assert 0 < sum(file.stat().st_size for file in files) <= limit
    assert not list((tmp_path / "cache").glob("*.part"))
    with pytest.raises(OSError, match="sha256 is not the recorded one"):
        cache.open(replace(shards[0], sha256="f" * 64))
    assert not (tmp_path / "cache" / f"{'f' * 64}.tar").exists()
