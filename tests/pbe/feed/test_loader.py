from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from pbe.feed.dataset import open_dataset
from pbe.feed.loader import webdataset_loader
from pipeline.draws.raster import raster_mask, reduce_mask
from pipeline.shards.samples import read_index, read_sample
from schemas.shards import index_path
from tests.synthetic import write_synthetic


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_gives_every_sample_once_decoded(tmp_path: Path, workers: int) -> None:
    write_synthetic(tmp_path, [[5, 4], [3, 6]])
    folder = open_dataset(str(tmp_path), split="train").folder
    rows = {
        row["key"]: row
        for draw in (0, 1)
        for unit in (0, 1)
        for row in read_index(folder, index_path("train", unit, draw)).to_pylist()
    }
    seen = []
    for batch in webdataset_loader(str(tmp_path), batch_size=4, workers=workers):
        for i, key in enumerate(batch["key"]):
            sample = read_sample(folder, rows[key])
            for name in ("latent", "masked_latent", "exemplar"):
                assert torch.equal(batch[name][i], torch.from_numpy(getattr(sample, name)))
            mask = reduce_mask(raster_mask(np.array(rows[key]["mask_polygon"], np.float32).reshape(-1, 2), 32), 8)
            assert torch.equal(batch["mask"][i, 0], torch.from_numpy(mask))
        seen += batch["key"]
    assert sorted(seen) == sorted(rows)


def test_one_draw_can_be_read_alone_and_as_it_is_stored(tmp_path: Path) -> None:
    write_synthetic(tmp_path, [[5, 4], [3, 6]])
    keys = [k for batch in webdataset_loader(str(tmp_path), batch_size=4, draw=1, shuffle=0) for k in batch["key"]]
    folder = open_dataset(str(tmp_path), split="train").folder
    assert keys == [
        key for unit in (0, 1) for key in read_index(folder, index_path("train", unit, 1))["key"].to_pylist()
    ]


def test_shards_on_any_storage_can_be_read(tmp_path: Path) -> None:
    write_synthetic(tmp_path, [[5, 4]])
    fsspec.filesystem("memory").put(str(tmp_path), "/loader", recursive=True)
    batches = list(webdataset_loader("memory://loader", batch_size=9))
    assert [len(set(batch["key"])) for batch in batches] == [9]


def test_a_sample_that_is_not_finite_is_never_handed_out(tmp_path: Path) -> None:
    write_synthetic(tmp_path, [[5, 4]], nan_units=(1,))
    with pytest.raises(ValueError, match="sample photo1x0-0-0: latent holds NaN"):
        list(webdataset_loader(str(tmp_path), batch_size=3, shuffle=0))
