"""Dataset of the learning benchmark: two folders of real photos -> shards, by the project's own pipeline."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.config import ShardConfig
from pipeline.encoders.facts import facts_of
from pipeline.encoders.fingerprints import make_deterministic
from pipeline.jobs.inputs import check_inputs
from pipeline.jobs.preparation import pending_tasks, prepare
from pipeline.shards.manifest import finish_dataset
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.units.maker import UnitMaker
from tests.benchmarks.learning.encoders import EfficientNetEncoder, PixelEncoder

RESOLUTION = 64  # px; latents of 8 x 8
SPLIT_SHARES = (0.85, 0.15, 0.0)


def make_dataset(photos: Path, out: Path, *, draws: int, workers: int, limit: int, say: Callable[[str], None]) -> None:
    """Make the dataset, or go on with it.

    Args:
        photos: holds `openimages_v6_train100` and `realset256`.
        workers: units made at a time, one thread each.
        limit: photos to take; 0: all.
    """
    openimages, realset = photos / "openimages_v6_train100", photos / "realset256"
    config = ShardConfig(
        boxes=(str(openimages / "oidv6-train-annotations-bbox.csv"), str(realset / "train-annotations-bbox.csv")),
        images=(str(openimages / "train"), str(realset / "train")),
        classes=str(openimages / "class-descriptions-boxable.csv"),
        out=str(out),
        draws=draws,
        resolution=RESOLUTION,
        photos_per_unit=50,
        split_shares=SPLIT_SHARES,
        limit=limit,
    )
    make_deterministic()
    encoders = PixelEncoder(), EfficientNetEncoder()
    facts = facts_of(*encoders)
    job = prepare(
        check_inputs(config), Folder(config.out), device="cpu", encoders=facts, say=say, progress=lambda _: None
    )
    maker = UnitMaker(job.config, job.out, job.store, *encoders, job.class_names, job.recipe_digest, 1)
    tasks, done = pending_tasks(job)
    say(f"{sum(len(task.draws) for task in tasks)} shards to make, {done} finished")
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(maker.make, tasks):
            pass
    records = read_records(job.out)
    names = {"vae": encoders[0].name, "clip": encoders[1].name}
    finish_dataset(job.out, records, recipe=job.recipe, plan=job.plan, draws=draws, names=names)
    say(f"{sum(record.samples for record in records)} samples in {len(records)} shards")
