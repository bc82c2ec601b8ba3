"""Sharding: a command line -> a dataset. The steps of the shard job, in order."""

import errno
import sys
import time
from collections import Counter
from typing import Any

import ray
from ray.exceptions import RayError
from tqdm import tqdm

from pipeline.command import EXIT_FAILED, GO_ON, describe_code, describe_room, stop_on_sigterm
from pipeline.config import ShardConfig
from pipeline.jobs.ending import end_dataset, is_complete, log_run, report_errors, sum_up
from pipeline.jobs.inputs import check_inputs, clear_leftovers
from pipeline.jobs.preparation import Prepared, pending_tasks, prepare
from pipeline.planning.tasks import UnitTask
from pipeline.shards.records import read_records
from pipeline.shards.totals import count_totals
from pipeline.storage.folder import Folder
from pipeline.storage.lock import Hold, locked
from pipeline.storage.redaction import redact
from pipeline.storage.retries import is_full
from ray_jobs.cluster import ClusterLostError, Slots, connect, lay_out_slots, refuse_hidden_paths
from ray_jobs.command import parse_shard_config
from ray_jobs.units_on_ray import make_units
from schemas.shards import MANIFEST, UnitRecord

JUDGED_PHOTOS = 200


class TooManyFailuresError(Exception):
    """More photos failed than --max-photo-failures allows."""


def shard_openimages(arguments: list[str]) -> int:
    """Run the job.

    Returns:
        The exit code: 0 when the dataset is complete.
    """
    config = parse_shard_config(arguments)
    _say(describe_code())
    _say(f"output: {config.out}")
    try:
        with locked(Folder(config.out), say=_say) as hold:
            return _shard(config, hold)
    except OSError as error:
        if not is_full(error):
            raise
        print(f"stopped: a disk is full ({describe_room(config.out)}): {redact(str(error))}; free some room; {GO_ON}")
        return EXIT_FAILED


def _say(line: str) -> None:
    tqdm.write(redact(line))
    sys.stdout.flush()


def _shard(config: ShardConfig, hold: Hold) -> int:
    """Run the job on an output that is held."""
    began = time.monotonic()
    checked = check_inputs(config, guard=hold.check)
    connect()
    stop_on_sigterm()
    try:
        slots = lay_out_slots(device=config.device, encoders=config.encoders, cpus_per_gpu=config.cpus_per_gpu)
        refuse_hidden_paths(checked.out, checked.work_paths)
        with _rows_bar() as rows_bar:
            job = prepare(
                checked,
                device=slots.device,
                say=_say,
                progress=lambda rows: rows_bar.update(rows - rows_bar.n),
            )
        tasks, done = pending_tasks(job)
        log_run(job, tasks, done)
        print(
            f"{job.plan.photos_planned:,} photos in {job.plan.units:,} units, {config.draws} draws: "
            f"{done:,} unit draws finished, {sum(len(task.draws) for task in tasks):,} to make "
            f"on {slots.count} x {slots.device} with {slots.cpus} thread{'s' if slots.cpus > 1 else ''}",
            flush=True,
        )
        if not tasks and is_complete(job):
            print("nothing to do: the dataset is complete")
            return 0
        job.out.delete(MANIFEST)  # while shards are added the dataset is not complete
        errors, seconds = _make_all(job, tasks, slots, hold)
        hold.check()
    except TooManyFailuresError as error:
        print(f"stopped: {error}")
        return EXIT_FAILED
    except (RayError, ClusterLostError) as error:
        print(f"stopped: Ray failed ({type(error).__name__}: {str(error).splitlines()[0]}); {GO_ON}")
        return EXIT_FAILED
    finally:
        ray.shutdown()
    if errors:
        report_errors(job.out, errors)
        clear_leftovers(job.out)
        return EXIT_FAILED
    made = sum(task.photos * len(task.draws) for task in tasks)
    code = _finish(job, seconds, made, began)
    clear_leftovers(job.out)
    return code


def _rows_bar() -> Any:
    return tqdm(desc="box rows", unit=" rows", unit_scale=True, leave=False, mininterval=1, delay=2)


def _make_all(
    job: Prepared, tasks: list[UnitTask], slots: Slots, hold: Hold
) -> tuple[dict[int, tuple[str, str]], Counter[str]]:
    """Make all pending units, with a progress bar.

    Returns:
        The failed units with error and traceback, and the seconds by stage.

    Raises:
        TooManyFailuresError: as soon as too many photos have failed.
        OSError: as soon as a disk is full.
    """
    errors: dict[int, tuple[str, str]] = {}
    seconds: Counter[str] = Counter()
    photos = lost = 0
    total = sum(task.photos * len(task.draws) for task in tasks)
    if not tasks:
        return errors, seconds
    with tqdm(total=total, desc="draws", unit=" draws", mininterval=1) as bar:
        for result in make_units(job, tasks, slots, check=hold.check, say=_say):
            if result.disk_full:
                raise OSError(errno.ENOSPC, result.error)
            if result.error:
                errors[result.unit] = (result.error, result.trace)
                continue
            bar.update(sum(record.planned for record in result.records))
            seconds.update(result.seconds)
            photos += result.records[0].photos
            lost += result.records[0].photos_lost
            if photos >= JUDGED_PHOTOS:
                _judge(job, lost, photos, result.records)
    return errors, seconds


def _judge(job: Prepared, lost: int, photos: int, records: list[UnitRecord]) -> None:
    limit = job.config.max_photo_failures
    if lost > limit * photos:
        reasons = Counter[str]()
        for record in records:
            reasons.update({reason: n for reason, n in record.dropped.items() if reason.startswith("photo/")})
        shown = ", ".join(f"{reason.removeprefix('photo/')} {n}" for reason, n in reasons.most_common(3))
        raise TooManyFailuresError(
            f"{lost} of {photos} photos failed, more than --max-photo-failures {limit:g} (lately: {shown or 'none'}; "
            f"all: {job.out.url}/drops/units). Finished units are kept, with their drops. If --images was wrong, mend "
            "it and start with --overwrite; if the photos are so, raise --max-photo-failures and run again to go on"
        )


def _finish(job: Prepared, seconds: Counter[str], made: int, began: float) -> int:
    """Judge the photos, write tables, pictures and the manifest, and sum up."""
    records = read_records(job.out)
    totals = count_totals(job.plan, records, job.config.draws)
    try:
        _judge(job, totals["photos_lost"], totals["photos_planned"], records)
    except TooManyFailuresError as error:
        print(f"stopped: {error}")
        return EXIT_FAILED
    end_dataset(job, records, totals)
    sum_up(job, totals, seconds=seconds, made=made, wall=time.monotonic() - began)
    return 0
