"""Pairs: a folder of photos, masks and perhaps exemplars -> a dataset of shards, to fine-tune a model on.

    python -m pipeline.pairs --pairs FOLDER --model MODEL --out OUT
    python pbe/train.py 24gb --data OUT --init-from MODEL --vae MODEL --clip MODEL --out RUN

The shard job without Ray: every pair is one box, whose mask and exemplar are given instead of drawn. Running the same
command again finishes the work.
"""

import os
import sys
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace

import pyarrow as pa
import torch
import tyro
from tqdm import tqdm

from pipeline.command import EXIT_FAILED, describe_code, run_command
from pipeline.draws.draw import DrawnSample, DrawRecipe
from pipeline.encoders.protocols import ExemplarEncoder, SourceEncoder
from pipeline.errors import InputError, LockLostError
from pipeline.jobs.ending import end_dataset, is_complete, log_run, report_errors, sum_up
from pipeline.jobs.inputs import check_inputs, clear_leftovers
from pipeline.jobs.preparation import Prepared, load_encoders, pending_tasks, prepare
from pipeline.pairing.config import PairConfig
from pipeline.pairing.folder import read_pairs
from pipeline.pairing.report import drop_lines, next_command, not_drawn_line
from pipeline.pairing.store import PairStore, pair_drawer
from pipeline.pairing.table import describe_changes, keep_table, tabulate
from pipeline.photos.decode import Photo
from pipeline.planning.plan_files import read_units
from pipeline.planning.tasks import PlannedPhoto, UnitTask
from pipeline.shards.records import read_records
from pipeline.shards.totals import count_totals
from pipeline.storage.folder import Folder
from pipeline.storage.lock import Hold, locked
from pipeline.storage.redaction import redact
from pipeline.storage.retries import is_full
from pipeline.storage.urls import absolute
from pipeline.units.maker import UnitMaker
from schemas.shards import MANIFEST, SPLITS, UnitRecord

MOST_WORKERS = 4
Made = tuple[list[UnitRecord], dict[str, float]]


class _StoppedError(Exception):
    """The command ends; what is not finished is left for the next run."""


def shard_pairs(arguments: list[str]) -> int:
    """Run the command.

    Returns:
        The exit code: 0 when the dataset is complete.
    """
    config = tyro.cli(PairConfig, args=arguments, prog="python -m pipeline.pairs")
    config = replace(config, out=absolute(config.out), pairs=absolute(config.pairs))
    _say(describe_code())
    _say(f"output: {config.out}")
    folder = Folder(config.pairs)
    pairs = read_pairs(folder, say=_say)
    with tqdm(desc="reading", total=len(pairs), unit=" pairs", leave=False, delay=1) as bar:
        table = tabulate(folder, pairs, repaint=config.repaint, progress=lambda read: bar.update(read - bar.n))
    with locked(Folder(config.out), say=_say) as hold:
        return _shard(config, folder, table, hold)


def _say(line: str) -> None:
    tqdm.write(redact(line))
    sys.stdout.flush()


def _shard(config: PairConfig, folder: Folder, table: pa.Table, hold: Hold) -> int:
    """Make the dataset on an output that is held."""
    began = time.monotonic()
    out, store = Folder(config.out, guard=hold.check), PairStore(folder, table)
    device = _choose_device(config.device)
    if changes := describe_changes(out, table):
        _say(f"pairs since {config.out} was begun: {changes}")
    shard_config = config.shard_config(table=keep_table(out, table))
    checked = check_inputs(shard_config, guard=hold.check, store=store)
    _say("loading the encoders")
    encoders = load_encoders(checked.config, device)
    job = prepare(checked, device=device, say=_say, progress=lambda rows: None, encoders=encoders)
    _refuse_no_training(job)
    tasks, done = pending_tasks(job)
    log_run(job, tasks, done)
    _say(
        f"{len(table):,} pairs of {job.plan.photos_planned:,} photos in {job.plan.units:,} units, {config.draws} draws"
        f": {done:,} unit draws finished, {sum(len(task.draws) for task in tasks):,} to make on {device}"
    )
    if not tasks and is_complete(job):
        print("nothing to do: the dataset is complete")
        return 0
    job.out.delete(MANIFEST)  # while shards are added the dataset is not complete
    errors, seconds = _make_all(job, tasks, encoders, store, config.workers, hold)
    if errors:
        report_errors(job.out, errors)
        clear_leftovers(job.out)
        return EXIT_FAILED
    made = sum(task.photos * len(task.draws) for task in tasks)
    samples = _finish(job, table, model=config.model, seconds=seconds, made=made, wall=time.monotonic() - began)
    clear_leftovers(job.out)
    return 0 if samples else EXIT_FAILED


def _choose_device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU here; give cpu or auto")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def _refuse_no_training(job: Prepared) -> None:
    """Refuse a plan in which, by the luck of few photos, none is left to train on.

    Raises:
        InputError: saying so.
    """
    splits = set(read_units(job.out)["split"].to_pylist())
    if SPLITS[0] not in splits:
        raise InputError(
            f"--split-shares {' '.join(f'{share:g}' for share in job.config.split_shares)}: of "
            f"{job.plan.photos_planned} photos all go to {' and '.join(sorted(splits))}; give --split-shares 1 0 0"
        )


def _make_all(
    job: Prepared,
    tasks: list[UnitTask],
    encoders: tuple[SourceEncoder, ExemplarEncoder],
    store: PairStore,
    workers: int,
    hold: Hold,
) -> tuple[dict[int, tuple[str, str]], Counter[str]]:
    """Make all pending units, some at a time, with a progress bar.

    Returns:
        The failed units with error and traceback, and the seconds by stage.

    Raises:
        OSError: as soon as a disk is full.
        LockLostError: another job has taken the output over.
    """
    stopping = threading.Event()
    max_pixels, min_px = int(job.config.max_photo_megapixels * 1e6), job.config.min_photo_px
    draw_given = pair_drawer(store, max_pixels=max_pixels, min_px=min_px)

    def drawer(photo: Photo, planned: PlannedPhoto, draw: int, recipe: DrawRecipe) -> DrawnSample:
        if stopping.is_set():
            raise _StoppedError
        return draw_given(photo, planned, draw, recipe)

    workers = workers or min(MOST_WORKERS, len(os.sched_getaffinity(0)))
    at_a_time, threads = (workers, 1) if job.device == "cpu" else (1, workers)
    maker = UnitMaker(
        job.config, job.out, job.store, *encoders, job.class_names, job.recipe_digest, threads, drawer=drawer
    )
    errors: dict[int, tuple[str, str]] = {}
    seconds: Counter[str] = Counter()
    total = sum(task.photos * len(task.draws) for task in tasks)
    with ThreadPoolExecutor(at_a_time) as pool, tqdm(total=total, desc="draws", unit=" draws") as bar:
        calls: dict[Future[Made], UnitTask] = {pool.submit(maker.make, task): task for task in tasks}
        try:
            for call in as_completed(calls):
                hold.check()
                try:
                    records, spent = call.result()
                except LockLostError:
                    raise
                except Exception as error:  # reported, with its traceback, and the command fails; other units go on
                    if is_full(error):
                        raise
                    errors[calls[call].unit] = (f"{type(error).__name__}: {error}", traceback.format_exc())
                    continue
                bar.update(sum(record.planned for record in records))
                seconds.update(spent)
        except BaseException:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return errors, seconds


def _finish(job: Prepared, table: pa.Table, *, model: str, seconds: Counter[str], made: int, wall: float) -> int:
    """Write tables, pictures and the manifest, sum up, and tell how many samples there are."""
    records = read_records(job.out)
    totals = count_totals(job.plan, records, job.config.draws)
    end_dataset(job, records, totals)
    sum_up(job, totals, seconds=seconds, made=made, wall=wall)
    lines = [*drop_lines(job.out, records, table), not_drawn_line(table, draws=job.config.draws)]
    if totals["samples"]:
        lines.append(next_command(job.config, model, records))
    for line in lines:
        if line:
            print(redact(line))
    return int(totals["samples"])


if __name__ == "__main__":
    sys.exit(run_command(shard_pairs))
