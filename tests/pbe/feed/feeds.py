"""What the tests of the feed share: taking steps, comparing batches, damaging a dataset."""

from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import safetensors.numpy
import torch

from pbe.batch import Batch
from pbe.feed.order import Position
from pbe.feed.training_feed import Feed, FeedStep
from pipeline.shards.samples import read_index
from pipeline.storage.folder import Folder
from schemas.samples import INDEX
from schemas.shards import index_path, shard_path

COUNTS = [[9, 5, 14, 7], [8, 12, 3, 13], [10, 8, 8, 10]]


def take(feed: Feed, steps: int, start: Position | None = None) -> list[FeedStep]:
    return list(islice(feed.steps(start or Position()), steps))


def joined(batches: list[Batch]) -> dict[str, Any]:
    """Put batches together, sorted by ordinal."""
    ordinals = torch.cat([batch.ordinals for batch in batches])
    by_ordinal = torch.argsort(ordinals)
    keys = [key for batch in batches for key in batch.keys]
    whole: dict[str, Any] = {"keys": [keys[i] for i in by_ordinal]}
    for name in (field.name for field in fields(Batch) if field.name not in ("keys", "masked_sources")):
        whole[name] = torch.cat([getattr(batch, name) for batch in batches])[by_ordinal]
    return whole


def assert_equal(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left["keys"] == right["keys"]
    for name in left:
        if name != "keys":
            assert torch.equal(left[name], right[name]), name


def rows_of(dataset: Path, draw: int) -> list[dict[str, Any]]:
    """Index rows of a draw, all splits."""
    files = sorted((dataset / "index").rglob(f"*-d{draw:02d}.parquet"))
    return [row for file in files for row in pq.read_table(file, schema=INDEX).to_pylist()]


def damage(dataset: Path, how: str) -> tuple[str, list[str]]:
    """Damage a shard of draw 0; return its name and the keys that suffer."""
    name = shard_path("train", 2, 0)
    rows = read_index(Folder(str(dataset)), index_path("train", 2, 0)).to_pylist()
    file = dataset / name
    data = bytearray(file.read_bytes())
    member = next(m for m in rows[5]["members"] if m["ext"] == "safetensors")
    if how == "missing shard":
        file.unlink()
        return name, [row["key"] for row in rows]
    if how == "cut short":
        file.write_bytes(data[: member["offset"] + 40])
        return name, [row["key"] for row in rows[5:]]
    if how == "picture":
        picture = next(m for m in rows[5]["members"] if m["ext"] == "exemplar.jpg")
        data[picture["offset"] : picture["offset"] + picture["size"]] = bytes(picture["size"])
        file.write_bytes(data)
        return name, [rows[5]["key"]]
    if how.startswith("a number"):
        array = {"a number in the latent": "latent", "a number in the vector": "exemplar"}[how]
        arrays = safetensors.numpy.load(bytes(data[member["offset"] : member["offset"] + member["size"]]))
        arrays[array].flat[-1] = -np.inf
        data[member["offset"] : member["offset"] + member["size"]] = safetensors.numpy.save(arrays)
        file.write_bytes(data)
        return f"{name}: .*{array} holds inf", [rows[5]["key"]]
    where = member["offset"] + (12 if how == "header" else member["size"] - 5)
    data[where] ^= 0xFF
    file.write_bytes(data)
    return name, [rows[5]["key"]]
