"""Feed: one core, shards -> batches of 16 ready for the model, against a plain webdataset pipeline.

    python -m tests.benchmarks.feed [SAMPLES]

Both give latents, masked latents, exemplar vectors and rasterised masks as float32, at full size (4 x 64 x 64 latents,
vectors of 1,024, Bezier masks rastered at 512 px), opening files and reading the index or the rows included, noise
excluded. The plain pipeline reads the same content as .npy and .json members. Medians of interleaved rounds in one
process on one thread, files in the page cache. The limit: reading the shards' bytes and copying the tensors once.
"""

import io
import json
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy
import torch
import webdataset as wds

from pbe.feed.config import FeedConfig
from pbe.feed.noise import draw_randomness
from pbe.feed.order import Position
from pbe.feed.readers import open_reader
from pbe.feed.training_feed import Feed
from pipeline.draws.raster import raster_mask, reduce_mask
from tests.synthetic import write_synthetic

ROUNDS = 9
BATCH = 16
SHARD = 1000
SIDE, DIMENSION, RESOLUTION, FACTOR = 64, 1024, 512, 8
FLOOR = 3.0


def feed_epoch(dataset: Path) -> int:
    """Read an epoch by the feed, from opening the dataset on."""
    config = FeedConfig(data=str(dataset), batch_size=BATCH, lanes=BATCH, workers=0)
    feed = Feed(config)
    [slots] = feed.slots
    with open_reader(feed.dataset, config, lanes=BATCH) as reader:
        for step in range(feed.describe(0).steps):
            at = Position(0, step)
            content = feed.samples.read(feed.order.places(at, slots), feed.order.ordinals(at, slots), reader)
            assert content.masks.shape == (BATCH, 1, SIDE, SIDE)
    return feed.describe(0).steps * BATCH


def plain_epoch(shards: list[str]) -> int:
    """Read the same samples as a plain webdataset pipeline does."""

    def tensors(sample: dict[str, Any]) -> tuple[torch.Tensor, ...]:
        polygon = np.array(sample["json"]["mask_polygon"], np.float32).reshape(-1, 2)
        mask = reduce_mask(raster_mask(polygon, RESOLUTION), FACTOR)[None]
        arrays = (sample["latent.npy"], sample["masked_latent.npy"], sample["exemplar.npy"], mask)
        return tuple(torch.from_numpy(array).float() for array in arrays)

    def stack(samples: list[tuple[torch.Tensor, ...]]) -> list[torch.Tensor]:
        return [torch.stack(column) for column in zip(*samples, strict=True)]

    pipeline = wds.WebDataset(shards, shardshuffle=False).decode().map(tensors).batched(BATCH, collation_fn=stack)
    return sum(len(batch[0]) for batch in pipeline)


def copy_bytes(shards: list[Path], buffer: bytearray) -> int:
    """Read every byte of the shards, and copy as many bytes as the tensors have."""
    count = 0
    tensors = np.zeros((SHARD, (2 * 4 * SIDE * SIDE + DIMENSION) * 2), np.uint8)
    source = np.frombuffer(buffer, np.uint8)
    for shard in shards:
        with shard.open("rb", buffering=0) as file:
            file.readinto(buffer)
        for sample in range(SHARD):
            tensors[sample] = source[sample * tensors.shape[1] :][: tensors.shape[1]]
        count += SHARD
    return count


def write_plain(dataset: Path, out: Path) -> Iterator[str]:
    """Write the same samples as .npy and .json members."""
    for shard in sorted((dataset / "shards/train").glob("*.tar")):
        with tarfile.open(shard) as tar, (out / shard.name).open("wb") as file:
            writer = wds.TarWriter(file, encoder=False, mtime=0)
            for sample in _members(tar):
                writer.write(sample)
            writer.close()
        yield str(out / shard.name)


def _members(tar: tarfile.TarFile) -> Iterator[dict[str, Any]]:
    samples: dict[str, dict[str, Any]] = {}
    for member in tar:
        key, extension = member.name.split(".", 1)
        content = tar.extractfile(member)
        assert content
        samples.setdefault(key, {"__key__": key})[extension] = content.read()
    for sample in samples.values():
        for name, array in safetensors.numpy.load(sample.pop("safetensors")).items():
            packed = io.BytesIO()
            np.save(packed, array)
            sample[f"{name}.npy"] = packed.getvalue()
        assert json.loads(sample["json"])["key"] == sample["__key__"]
        yield sample


def time_noise(dataset: Path) -> float:
    """Time drawing noise, timestep and guidance drop: samples a second."""
    config = FeedConfig(data=str(dataset), batch_size=BATCH, lanes=BATCH, workers=0)
    feed = Feed(config)
    [slots] = feed.slots
    with open_reader(feed.dataset, config, lanes=BATCH) as reader:
        content = feed.samples.read(feed.order.places(Position(), slots), slots, reader)
    began = time.perf_counter()
    for step in range(20):
        draw_randomness(content, slots + step * BATCH, seed=0, split="train", drop_share=0.2)
    return 20 * BATCH / (time.perf_counter() - began)


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    shard_count = -(-int(sys.argv[1]) // SHARD) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as scratch:
        dataset, plain = Path(scratch) / "dataset", Path(scratch) / "plain"
        plain.mkdir()
        write_synthetic(dataset, [[SHARD] * shard_count], side=SIDE, dimension=DIMENSION)
        shards = sorted((dataset / "shards/train").glob("*.tar"))
        plain_shards = list(write_plain(dataset, plain))
        buffer = bytearray(max(shard.stat().st_size for shard in shards))
        work: dict[str, Callable[[], int]] = {
            "feed": lambda: feed_epoch(dataset),
            "webdataset": lambda: plain_epoch(plain_shards),
            "limit": lambda: copy_bytes(shards, buffer),
        }
        rates: dict[str, list[float]] = {name: [] for name in work}
        for round_number in range(ROUNDS + 1):
            for name, action in work.items():
                began = time.perf_counter()
                samples = action()
                if round_number:  # the first warms up
                    rates[name].append(samples / (time.perf_counter() - began))
        noise = time_noise(dataset)
    rate = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{shard_count * SHARD} samples, batches of {BATCH}, one thread, medians of {ROUNDS} interleaved rounds")
    print(f"limit, raw read + copy: {rate['limit']:,.0f} samples/s; webdataset: {rate['webdataset']:,.0f} samples/s")
    ratio = rate["feed"] / rate["webdataset"]
    print(f"feed: {rate['feed']:,.0f} samples/s, {ratio:.2f} x webdataset (floor {FLOOR})")
    print(f"noise, timestep and guidance drop alone: {noise:,.0f} samples/s")


if __name__ == "__main__":
    main()
