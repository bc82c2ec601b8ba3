"""Units on Ray: unit tasks -> records, through Ray Data over one unit a block and a pool of encoder actors."""

import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext

from pipeline.config import ShardConfig
from pipeline.errors import InputError
from pipeline.job import Prepared, load_encoders
from pipeline.photos import PhotoStore
from pipeline.storage import Folder
from pipeline.units import UnitTask, UnitWriter
from ray_jobs.cluster import Slots
from schemas.shards import UnitRecord

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class UnitResult:
    """What became of a unit: records and seconds by stage, or the error for which it failed."""

    unit: int
    records: list[UnitRecord]
    seconds: dict[str, float]
    error: str = ""
    trace: str = ""


class Attempts:
    """Counts how often each unit was begun; a unit begun again without a result has lost its actor."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def begin(self, unit: int) -> int:
        """Count one more attempt, and tell how many there were."""
        self._begun[unit] = self._begun.get(unit, 0) + 1
        return self._begun[unit]


class UnitActor:
    """Holds the encoders, and turns one unit after the other into shards."""

    def __init__(
        self,
        config: ShardConfig,
        *,
        device: str,
        threads: int,
        class_names: dict[str, str],
        recipe_digest: str,
        fingerprints: tuple[str, str],
        attempts: Any,
    ) -> None:
        sources, exemplars = load_encoders(config, device)
        found = (sources.fingerprint, exemplars.fingerprint)
        if found != fingerprints:
            raise InputError(
                f"--vae, --clip: this node has other weights, {found}, than the job began with, {fingerprints}"
            )
        self._attempts = attempts
        self._writer = UnitWriter(
            config=config,
            out=Folder(config.out),
            store=PhotoStore(config.images, anonymous=config.anonymous),
            sources=sources,
            exemplars=exemplars,
            class_names=class_names,
            recipe_digest=recipe_digest,
            threads=threads,
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"result": [json.dumps(self._make(json.loads(task))) for task in batch["task"]]}

    def _make(self, fields: dict[str, Any]) -> dict[str, Any]:
        task = UnitTask(**{**fields, "draws": tuple(fields["draws"])})
        if ray.get(self._attempts.begin.remote(task.unit)) > MAX_ATTEMPTS:
            error = f"its actor died {MAX_ATTEMPTS} times, out of memory perhaps; see Ray's logs"
            return asdict(UnitResult(task.unit, [], {}, error))
        try:
            records, seconds = self._writer.write(task)
        except Exception as error:  # reported, with its traceback, and the job fails at its end; other units go on
            return asdict(UnitResult(task.unit, [], {}, f"{type(error).__name__}: {error}", traceback.format_exc()))
        return asdict(UnitResult(task.unit, records, seconds))


def make_units(job: Prepared, tasks: list[UnitTask], slots: Slots) -> Iterator[UnitResult]:
    """Make units on the cluster, and give each result as it comes."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it warns that its own progress bars are off
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    attempts = ray.remote(Attempts).options(num_cpus=0).remote()
    rows = [{"task": json.dumps(asdict(task))} for task in tasks]
    units = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        UnitActor,
        batch_size=1,
        compute=ActorPoolStrategy(size=min(slots.count, len(tasks))),
        num_cpus=slots.cpus,
        num_gpus=slots.gpus,
        fn_constructor_args=(job.config,),
        fn_constructor_kwargs={
            "device": slots.device,
            "threads": slots.cpus,
            "class_names": job.class_names,
            "recipe_digest": job.recipe_digest,
            "fingerprints": (job.recipe["vae"]["fingerprint"], job.recipe["clip"]["fingerprint"]),
            "attempts": attempts,
        },
    )
    for row in units.iter_rows():
        fields = json.loads(row["result"])
        records = [UnitRecord.from_json(record) for record in fields["records"]]
        yield UnitResult(**{**fields, "records": records})
