import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pbe.feed import dataset as feed_dataset
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import open_dataset, sample_hole_sides
from pbe.feed.training_feed import Feed
from pipeline.draws.raster import raster_mask
from pipeline.errors import InputError
from schemas.shards import SHARDS_TABLE, index_path
from tests.pbe.feed.feeds import rows_of, take


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


def test_a_holes_side_is_that_of_its_raster_and_a_box_masks_that_of_the_box(synthetic: Path) -> None:
    dataset, size = open_dataset(str(synthetic), split="train", draws=1), 512
    rows = [row for row in rows_of(synthetic, 0) if row["split"] == "train"]
    rasters = [raster_mask(np.array(row["mask_polygon"], np.float32).reshape(-1, 2), size) for row in rows]
    drawn = [max(raster.any(axis=0).sum(), raster.any(axis=1).sum()) / size for raster in rasters]
    assert np.sort(sample_hole_sides(dataset, masks="drawn")) == pytest.approx(sorted(drawn), abs=2 / size)
    boxes = np.array([row["box_in_crop"] for row in rows]).clip(0, 1)
    boxed = np.sort((boxes[:, 2:] - boxes[:, :2]).max(axis=1))
    assert np.sort(sample_hole_sides(dataset, masks="box")) == pytest.approx(boxed, abs=1e-6)


def test_of_a_large_split_whole_shards_are_measured_the_same_ones_every_time(
    synthetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = sample_hole_sides(open_dataset(str(synthetic), split="train"), masks="drawn")
    for limit, value in (("HOLES", 20), ("HOLE_SHARDS", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(feed_dataset, limit, value)
            some, again = (
                sample_hole_sides(open_dataset(str(synthetic), split="train"), masks="drawn") for _ in range(2)
            )
        assert len(every) == 107 and 9 <= len(some) <= 40 and set(some.tolist()) <= set(every.tolist())
        assert np.array_equal(some, again)


def test_masks_that_are_not_finite_are_refused_before_they_are_counted(synthetic: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(synthetic, tmp_path / "copy")
    place = copy / index_path("train", 0, 0)
    index = pq.read_table(place)
    polygons = pa.array([[float("nan")] * 6] * len(index), index.schema.field("mask_polygon").type)
    column = index.schema.get_field_index("mask_polygon")
    pq.write_table(index.set_column(column, index.schema.field(column), polygons), place)
    with pytest.raises(InputError, match=r"index: masks with numbers that are not finite; run `python -m"):
        sample_hole_sides(open_dataset(str(copy), split="train"), masks="drawn")
