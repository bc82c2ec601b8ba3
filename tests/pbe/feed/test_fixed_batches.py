import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pbe.feed.config import FeedConfig
from pbe.feed.dataset import open_dataset
from pbe.feed.fixed_batches import fixed_batches
from pipeline.errors import InputError
from schemas.shards import MANIFEST
from tests.pbe.feed.feeds import assert_equal, joined, rows_of


def test_fixed_batches_give_every_sample_of_a_split_once_and_the_same_each_time(
    config: FeedConfig, dataset: Path
) -> None:
    whole = joined(list(fixed_batches(config)))
    assert whole["weights"].tolist() == [1.0] * 35 + [0.0] * 5
    assert len(set(whole["keys"][:35])) == 35 and set(whole["keys"][35:]) == {""}
    assert whole["latents"][35:].abs().sum() == 0
    for world in (1, 2, 8):
        ranks = [list(fixed_batches(replace(config, workers=2), rank=rank, world=world)) for rank in range(world)]
        assert {len(rank) for rank in ranks} == {5}
        assert_equal(joined([batch for rank in ranks for batch in rank]), whole)
    assert [len(batch.keys) for batch in fixed_batches(config, limit=9)] == [8, 8]
    validation = FeedConfig(data=str(dataset), split="validation", batch_size=1)
    keys = [key for batch in fixed_batches(validation) for key in batch.keys]
    assert sorted(keys) == sorted(row["key"] for row in rows_of(dataset, 0) if row["split"] == "validation")
    with pytest.raises(InputError, match="no sample in the test split"):
        list(fixed_batches(replace(validation, split="test")))


def test_an_opened_split_is_read_on_while_draws_are_added_to_its_dataset(
    config: FeedConfig, synthetic: Path, tmp_path: Path
) -> None:
    here = replace(config, data=str(shutil.copytree(synthetic, tmp_path / "d")), draws=1)
    dataset = open_dataset(here.data, split="train", draws=1)
    (tmp_path / "d" / MANIFEST).unlink()  # as long as shards are added
    assert_equal(joined(list(fixed_batches(here, dataset=dataset))), joined(list(fixed_batches(config))))
