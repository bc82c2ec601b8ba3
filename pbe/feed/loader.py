"""Loader: shards -> batches by plain webdataset, in no fixed order, for a training loop of your own.

for batch in webdataset_loader("runs/demo/dataset", batch_size=16):
    batch["latent"], batch["masked_latent"], batch["mask"], batch["exemplar"], batch["key"]
"""

import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import webdataset as wds

from pbe.feed.dataset import open_dataset
from pipeline.draws.raster import raster_mask, reduce_mask
from pipeline.shards.samples import not_finite
from pipeline.storage.folder import Folder
from schemas.samples import ROW_EXT, TENSORS_EXT


def webdataset_loader(
    url: str,
    *,
    batch_size: int,
    split: str = "train",
    draw: int | None = None,
    shuffle: int = 1000,
    seed: int = 0,
    workers: int = 0,
) -> Iterable[dict[str, Any]]:
    """Read batches in no fixed order. Ranks and workers divide the shards, and may get different numbers of batches.

    Args:
        draw: read one draw only; None: all of them.
        shuffle: samples in the rolling buffer. 0: as they are stored.
        workers: processes that read. 0: the calling process reads.

    Returns:
        Batches: `key` list[str], `latent` and `masked_latent` [b,c,h,w] float16, `exemplar` [b,d] float16,
        `mask` [b,1,h,w] float32 in [0, 1], 1 = repaint.
    """
    dataset = open_dataset(url, split=split)
    draws = dataset.shards if draw is None else [dataset.shards[draw]]
    names = [shard.name for shards in draws for shard in shards]
    stages = [
        wds.SimpleShardList(names),
        *([wds.shuffle(len(names), seed=seed)] if shuffle else []),
        wds.split_by_node,
        wds.split_by_worker,
        partial(_open_shards, dataset.folder),
        wds.tariterators.tar_file_expander,
        wds.tariterators.group_by_keys,
        *([wds.shuffle(shuffle, seed=seed)] if shuffle else []),
        wds.map(partial(decode, resolution=dataset.resolution, factor=dataset.factor)),
        wds.batched(batch_size, collation_fn=_collate),
    ]
    loader: Iterable[dict[str, Any]] = wds.WebLoader(wds.DataPipeline(*stages), batch_size=None, num_workers=workers)
    return loader


def decode(sample: dict[str, Any], *, resolution: int, factor: int) -> dict[str, Any]:
    """Turn a sample's members into tensors and its polygon into the mask.

    Raises:
        ValueError: a number of it is not finite.
    """
    polygon = np.array(json.loads(sample[ROW_EXT])["mask_polygon"], np.float32).reshape(-1, 2)
    mask = torch.from_numpy(reduce_mask(raster_mask(polygon, resolution), factor))[None]
    arrays = safetensors.numpy.load(sample[TENSORS_EXT])
    odd = [f"{name} holds {value}" for name, array in arrays.items() if (value := not_finite(array))]
    if odd:
        raise ValueError(f"sample {sample['__key__']}: {', '.join(odd)}")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {"key": sample["__key__"], "mask": mask, **tensors}


def _open_shards(folder: Folder, shards: Iterable[dict[str, str]]) -> Iterator[dict[str, Any]]:
    """Open shards by their names in the dataset."""
    for shard in shards:
        with folder.fs.open(folder.path(shard["url"]), "rb") as stream:
            yield {"url": shard["url"], "stream": stream}


def _collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack tensors, list keys."""
    names = [name for name, value in samples[0].items() if isinstance(value, torch.Tensor)]
    stacked = {name: torch.stack([sample[name] for sample in samples]) for name in names}
    return {"key": [sample["key"] for sample in samples], **stacked}
