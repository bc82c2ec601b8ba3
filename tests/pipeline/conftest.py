"""A dataset made without Ray, from the sample photos, and the pieces it is made of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import PRESETS, ShardConfig
from pipeline.encoders import ClipEncoder, VaeEncoder
from pipeline.job import Prepared, check_inputs, pending_tasks, prepare
from pipeline.manifest import finish_dataset, read_records
from pipeline.units import UnitWriter

Make = Callable[..., Prepared]


@pytest.fixture
def make(vae: VaeEncoder, clip: ClipEncoder, sample_folder: Path) -> Make:
    """Make a dataset in `out`; keyword arguments change the config; `threads`, `finish` how it is made."""

    def make_dataset(out: Path, *, threads: int = 1, finish: bool = True, **changes: Any) -> Prepared:
        inputs = {
            "boxes": (str(sample_folder / "train-annotations-bbox.csv"),),
            "images": (str(sample_folder / "train"),),
            "image_info": (str(sample_folder / "train-images-boxable-with-rotation.csv"),),
            "classes": str(sample_folder / "class-descriptions-boxable.csv"),
        }
        config: ShardConfig = replace(PRESETS["tiny"], **{"out": str(out), "resolution": 64, **inputs, **changes})
        job = prepare(check_inputs(config), device="cpu", say=lambda line: None, progress=lambda rows: None)
        writer = UnitWriter(config, job.out, job.store, vae, clip, job.class_names, job.recipe_digest, threads)
        for task in pending_tasks(job)[0]:
            writer.write(task)
        if finish:
            records = read_records(job.out)
            finish_dataset(job.out, records, recipe=job.recipe, plan=job.plan, draws=config.draws, names=job.names)
        return job

    return make_dataset
