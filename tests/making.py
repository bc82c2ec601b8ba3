"""Datasets made in this process, as the shard job makes them on Ray."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import PRESETS, ShardConfig
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.facts import facts_of
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.encoders.vae import VaeEncoder
from pipeline.jobs.inputs import check_inputs
from pipeline.jobs.preparation import PreparedJob, pending_tasks, prepare
from pipeline.jobs.retrying import end_retry, take_up_retry
from pipeline.shards.manifest import finish_dataset
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.units.maker import UnitMaker

MakerOf = Callable[..., UnitMaker]
Make = Callable[..., PreparedJob]


def unit_makers(vae: VaeEncoder, clip: ClipEncoder) -> MakerOf:
    def new_maker(job: PreparedJob, *, threads: int = 1) -> UnitMaker:
        written = (job.class_names, job.recipe_digest)
        return UnitMaker(job.config, job.out, job.store, vae, clip, *written, threads, generation=job.intent.generation)

    return new_maker


def dataset_makers(maker_of: MakerOf, sample_folder: Path, vae: VaeEncoder, clip: ClipEncoder) -> Make:
    def make_dataset(
        out: Path,
        *,
        threads: int = 1,
        finish: bool = True,
        sources: Codec | None = None,
        exemplars: ExemplarEncoder | None = None,
        **changes: Any,
    ) -> PreparedJob:
        inputs = {
            "boxes": (str(sample_folder / "train-annotations-bbox.csv"),),
            "images": (str(sample_folder / "train"),),
            "image_info": (str(sample_folder / "train-images-boxable-with-rotation.csv"),),
            "classes": str(sample_folder / "class-descriptions-boxable.csv"),
        }
        config: ShardConfig = replace(PRESETS["smoke"], **{"out": str(out), "resolution": 64, **inputs, **changes})
        quiet = {"say": lambda line: None, "progress": lambda rows: None}
        chosen: tuple[Codec, ExemplarEncoder] = (sources or vae, exemplars or clip)
        job = prepare(check_inputs(config), Folder(config.out), device="cpu", encoders=facts_of(*chosen), **quiet)
        job = take_up_retry(job, say=lambda line: None)
        maker = replace(maker_of(job, threads=threads), sources=chosen[0], exemplars=chosen[1])
        for task in pending_tasks(job)[0]:
            maker.make(task)
        if finish:
            end_retry(job)
            records = read_records(job.out)
            finish_dataset(job.out, records, recipe=job.recipe, plan=job.plan, draws=config.draws, names=job.names)
        return job

    return make_dataset
