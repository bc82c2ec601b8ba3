"""The learning benchmark's own parts: what it holds for unseen, and what it makes a dataset with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pbe.feed.config import FeedConfig
from pbe.feed.fixed_batches import fixed_batches
from pipeline.config import PRESETS
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.facts import facts_of
from pipeline.jobs.inputs import check_inputs, lay_out_sample_photos
from pipeline.jobs.preparation import pending_tasks, prepare
from pipeline.shards.manifest import finish_dataset
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.units.maker import UnitMaker
from tests.benchmarks.learning.__main__ import leave_out
from tests.benchmarks.learning.encoders import EfficientNetEncoder, PixelEncoder
from tests.benchmarks.learning.leaks import find_twins


def test_a_photo_under_another_name_or_another_size_is_no_unseen_photo() -> None:
    def split(sha256: list[str], phash: list[str]) -> dict[str, np.ndarray]:
        return {"photo_sha256": np.array(sha256), "photo_phash": np.array(phash)}

    train = split(["a", "b"], ["0" * 16, "f" * 16])
    validation = split(["b", "c", "d", "e"], ["5" * 16, "0" * 13 + "1ff", "0" * 13 + "fff", "f" * 15 + "0"])
    twins = find_twins({"train": train, "validation": validation})
    assert twins.tolist() == [True, True, False, True]  # same bytes; 9, 12 and 4 bits from the nearest


def test_a_dataset_can_be_made_with_encoders_given_in_code(tmp_path: Path, clip: ClipEncoder) -> None:
    config = replace(PRESETS["smoke"], out=str(tmp_path), resolution=64, draws=1, split_shares=(0.0, 1.0, 0.0))
    encoders = PixelEncoder(), clip
    quiet = {"say": lambda line: None, "progress": lambda rows: None}
    out = Folder(config.out)
    checked = check_inputs(lay_out_sample_photos(config, out))
    job = prepare(checked, out, device="cpu", encoders=facts_of(*encoders), **quiet)
    maker = UnitMaker(job.config, job.out, job.store, *encoders, job.class_names, job.recipe_digest, 1)
    for task in pending_tasks(job)[0]:
        maker.make(task)
    finish_dataset(job.out, read_records(job.out), recipe=job.recipe, plan=job.plan, draws=1, names=job.names)
    feed = FeedConfig(str(tmp_path), split="validation", batch_size=2, lanes=1, workers=0)
    batch = next(iter(fixed_batches(feed)))
    assert batch.latents.shape == (2, 3, 8, 8)
    assert batch.latents.abs().max() <= 2
    hole = (batch.masks == 1).expand_as(batch.latents)
    outside = (batch.masks == 0).expand_as(batch.latents)
    assert hole.any()
    assert batch.masked_latents[hole].abs().mean() < 0.1  # masks are sampled inside a cell, pixels averaged over it
    assert (batch.masked_latents - batch.latents)[outside].abs().mean() < 0.1
    assert leave_out(batch, {batch.keys[0]}).weights.equal(torch.tensor([0.0, 1.0]))


def test_an_exemplar_vector_is_as_long_as_it_is_said_and_of_unit_scale() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    encoder = EfficientNetEncoder()
    exemplars = np.random.default_rng(0).integers(256, size=(2, 224, 224, 3), dtype=np.uint8)
    vectors = encoder.encode(exemplars)
    assert vectors.shape == (2, encoder.dimension)
    assert 0.1 < vectors.astype(float).std() < 10
