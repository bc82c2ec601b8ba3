import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pbe.feed.config import FeedConfig
from pbe.feed.training_feed import Feed
from pipeline.errors import InputError
from schemas.shards import SHARDS_TABLE, index_path
from tests.pbe.feed.feeds import take


def test_a_changed_shards_table_and_an_index_without_a_row_or_column_are_refused(
    config: FeedConfig, synthetic: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(synthetic, tmp_path / "a copy")
    (copy / index_path("train", 0, 0)).write_bytes((copy / index_path("train", 1, 0)).read_bytes())
    with pytest.raises(InputError, match="5 rows for 9 samples"):
        take(Feed(replace(config, data=str(copy))), 4)
    index = pq.read_table(copy / index_path("train", 1, 0))
    pq.write_table(index.drop_columns("sha256"), copy / index_path("train", 0, 0))
    with pytest.raises(InputError, match=r"sha256.*run `python -m ray_jobs\.verify_shards '/.*/a copy'`"):
        take(Feed(replace(config, data=str(copy))), 4)
    with (copy / SHARDS_TABLE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="its sha256 is not the one in"):
        Feed(replace(config, data=str(copy)))
