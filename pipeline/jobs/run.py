"""Run: checked inputs and a workshop -> a finished dataset. The one driver, on Ray or on the threads of one process."""

import errno
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

import pipeline
from pipeline.command import EXIT_FAILED
from pipeline.encoders.facts import EncoderFacts
from pipeline.errors import InputError
from pipeline.jobs.ending import (
    complete_manifest,
    end_dataset,
    log_beginning,
    print_lost,
    print_next,
    print_shares,
    refuse_odds,
    report_errors,
    sum_up,
)
from pipeline.jobs.inputs import CheckedInputs
from pipeline.jobs.known_encoders import recall_encoders, remember_encoders, stamp_encoders
from pipeline.jobs.preparation import (
    PreparedJob,
    clear_leftovers,
    list_finished,
    pending_tasks,
    prepare,
    recorded_device,
)
from pipeline.jobs.retrying import end_retry, take_up_retry
from pipeline.jobs.workshop import OpenWorkshop, UnitResult, Workshop
from pipeline.planning.tasks import UnitTask
from pipeline.run_log import RUNS, RunLog, logged
from pipeline.shards.recipe import Json
from pipeline.shards.records import read_records
from pipeline.shards.retry_intent import read_intent
from pipeline.shards.totals import count_totals
from pipeline.storage.folder import Folder
from pipeline.storage.holders import Hold
from pipeline.storage.output_lock import locked
from pipeline.storage.redaction import redact
from schemas.shards import MANIFEST, RUN, UnitRecord

JUDGED_PHOTOS = 200
AUTO = "auto"


class TooManyFailuresError(Exception):
    """More photos failed than --max-photo-failures allows."""


@dataclass(frozen=True)
class RunEnd:
    """How a run ended: the exit code, and what the dataset holds where this run completed it."""

    code: int
    job: PreparedJob
    records: list[UnitRecord] = field(default_factory=list)
    totals: Json | None = None


def say(line: str) -> None:
    """Print a line above any progress bar."""
    tqdm.write(redact(line))
    sys.stdout.flush()


@contextmanager
def hold_output(url: str) -> Iterator[Hold]:
    """Hold an output for this process; a refused job that has only just created the folder removes it again.

    Raises:
        InputError: another job holds it, or it cannot be written.
    """
    out = Folder(url)
    created = _first_missing(Path(out.path(""))) if out.local else None
    try:
        with locked(out, say=say) as hold:
            yield hold
    except InputError:
        if created and not out.names("units"):
            shutil.rmtree(created, ignore_errors=True)
        raise


def run_job(
    checked: CheckedInputs,
    *,
    hold: Hold,
    open_workshop: OpenWorkshop,
    draws_given: bool,
    come_back: str,
    check_plan: Callable[[PreparedJob], None] = lambda job: None,
) -> RunEnd:
    """Make what is missing of a dataset, and finish it.

    Encoders and Ray are only started for units that are still to be made. Where it is not known yet which weights
    these are, the first encoder says so before anything is planned or removed.

    Args:
        hold: the lock on the output.
        draws_given: whether the user gave --draws; else an output that has more goes on with these.
        come_back: how lost photos get into the dataset, once they can be read.
        check_plan: called with the planned job; may raise InputError to refuse it.

    Raises:
        InputError: anything that the job's user can fix.
        LockLostError: another job has taken the output over.
        OSError: a disk is full, or storage kept failing.
    """
    out = Folder(checked.config.out, guard=hold.check)
    name = f"{RUN}/{RUNS}"
    with logged(out.read_if_there(name), partial(out.write, name)) as log:
        output = _look_at_output(checked, hold, draws_given=draws_given, come_back=come_back)
        end = _make_missing(checked, output, open_workshop, check_plan, log)
        log.how = "failed" if end.code else "complete"
        log.counts |= {"samples": end.totals["samples"]} if end.totals else {}
    clear_leftovers(out)  # the log's, too
    return end


def _make_missing(
    checked: CheckedInputs,
    output: "_Output",
    open_workshop: OpenWorkshop,
    check_plan: Callable[[PreparedJob], None],
    log: RunLog,
) -> RunEnd:
    """See `run_job`."""
    known, device = output.encoders, output.device
    job = None
    if known and device != AUTO:
        job = _prepare(checked, output, device, known, check_plan)
        tasks, done = pending_tasks(job)
        if not tasks:
            _announce(job, log, tasks, done)
            return _finish(job, Counter(), tasks, output.come_back)
    with open_workshop(checked, device) as workshop:
        if job is None:
            if known is None:
                say("loading the encoders")
            job = _prepare(checked, output, workshop.device, known or workshop.read_encoders(), check_plan)
            remember_encoders(output.out, output.stamp, job.encoders)
            tasks, done = pending_tasks(job)
        _announce(job, log, tasks, done, where=f" on {workshop.describe()}")
        try:
            seconds, errors = _make_all(job, tasks, workshop, output.hold, log) if tasks else (Counter[str](), {})
            output.hold.check()
        except TooManyFailuresError as error:
            print(f"stopped: {error}")
            return RunEnd(EXIT_FAILED, job)
    if errors:
        log.counts["units_failed"] = len(errors)
        report_errors(job.out, errors)
        return RunEnd(EXIT_FAILED, job)
    return _finish(job, seconds, tasks, output.come_back)


@dataclass(frozen=True)
class _Output:
    """What an output holds at the start of a run.

    Args:
        hold: the lock on it.
        finished: names of the records of finished units and draws.
        device: of the flags; where these leave it open, the one that the finished units were made on.
        stamp: of the encoders' files.
        encoders: what an earlier run found these files to be; None: they must be read.
        draws_given: whether the draws of the flags are just those that the user wants.
        come_back: how lost photos get into the dataset.
    """

    out: Folder
    hold: Hold
    finished: frozenset[str]
    device: str
    stamp: str
    encoders: EncoderFacts | None
    draws_given: bool
    come_back: str


def _look_at_output(checked: CheckedInputs, hold: Hold, *, draws_given: bool, come_back: str) -> _Output:
    out = Folder(checked.config.out, guard=hold.check)
    clear_leftovers(out)
    finished = list_finished(out)
    device: str = checked.config.device
    if device == AUTO and (finished or read_intent(out).units):
        device = recorded_device(out) or AUTO
    stamp = stamp_encoders(checked.config)
    return _Output(out, hold, finished, device, stamp, recall_encoders(out, stamp), draws_given, come_back)


def _prepare(
    checked: CheckedInputs,
    output: _Output,
    device: str,
    encoders: EncoderFacts,
    check_plan: Callable[[PreparedJob], None],
) -> PreparedJob:
    with closing(_RowsBar()) as bar:
        job = prepare(
            checked,
            output.out,
            device=device,
            encoders=encoders,
            finished=output.finished,
            draws_given=output.draws_given,
            say=say,
            progress=bar.show,
        )
    check_plan(job)
    return take_up_retry(job, say=say)


def _announce(job: PreparedJob, log: RunLog, tasks: list[UnitTask], done: int, *, where: str = "") -> None:
    """Log and print what is to be done."""
    log_beginning(job, log, tasks, done)
    say(
        f"{job.plan.photos_planned:,} photos in {job.plan.units:,} units, {job.config.draws} draws: "
        f"{done:,} unit draws finished, {sum(len(task.draws) for task in tasks):,} to make{where}"
    )


def _first_missing(path: Path) -> Path | None:
    """The topmost folder that creating this one would create."""
    missing = None
    for folder in (path, *path.parents):
        if folder.exists():
            return missing
        missing = folder
    return missing


class _RowsBar:
    """A progress bar that is not there before the first row is."""

    def __init__(self) -> None:
        self._bar: Any = None

    def show(self, rows: int) -> None:
        """Show how many rows have been read so far."""
        if self._bar is None:
            self._bar = tqdm(desc="box rows", unit=" rows", unit_scale=True, leave=False, mininterval=1, delay=2)
        self._bar.update(rows - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def _make_all(
    job: PreparedJob, tasks: list[UnitTask], workshop: Workshop, hold: Hold, log: RunLog
) -> tuple[Counter[str], dict[int, UnitResult]]:
    """Make all pending units, with a progress bar.

    Returns:
        The seconds by stage, and the failed units.

    Raises:
        TooManyFailuresError: as soon as too many photos have failed.
        OSError: as soon as a disk is full.
    """
    job.out.delete(MANIFEST)  # while shards are added the dataset is not complete
    errors: dict[int, UnitResult] = {}
    seconds: Counter[str] = Counter()
    photos = lost = 0
    total = sum(task.photos * len(task.draws) for task in tasks)
    with tqdm(total=total, desc="draws", unit=" draws", mininterval=1) as bar:
        for result in workshop.make(job, tasks, check=hold.check):
            if result.disk_full:
                raise OSError(errno.ENOSPC, result.error)
            if result.error:
                errors[result.unit] = result
                continue
            bar.update(sum(record.planned for record in result.records))
            log.counts["unit_draws_made"] += len(result.records)
            seconds.update(result.seconds)
            if result.unit not in job.intent.units:  # a retry takes just those that lost photos: judged at its end
                photos += result.records[0].photos
                lost += result.records[0].photos_lost
            if photos >= JUDGED_PHOTOS:
                _judge(job, lost, photos, result.records)
    return seconds, errors


def _judge(job: PreparedJob, lost: int, photos: int, records: list[UnitRecord]) -> None:
    """Stop a job whose photos fail too often.

    Raises:
        TooManyFailuresError: they do.
    """
    limit = job.config.max_photo_failures
    if lost > limit * photos:
        reasons = Counter[str]()
        for record in records:
            reasons.update({reason: n for reason, n in record.dropped.items() if reason.startswith("photo/")})
        shown = ", ".join(f"{reason.removeprefix('photo/')} {n}" for reason, n in reasons.most_common(3))
        raise TooManyFailuresError(
            f"{lost} of {photos} photos failed, more than --max-photo-failures {limit:g} (lately: {shown or 'none'}; "
            f"all: {job.out.url}/drops/units). Finished units are kept, with their drops. Once --images is right "
            "and the photos are there, run again with --retry-drops, which reads lost photos again; if they are at "
            "fault, raise --max-photo-failures and run again to go on"
        )


def _finish(job: PreparedJob, seconds: Counter[str], tasks: list[UnitTask], come_back: str) -> RunEnd:
    """Judge the photos, write tables, pictures and the manifest, and sum up.

    Args:
        seconds: of thread time, by stage.
        tasks: made in this run.
        come_back: how lost photos get into the dataset.
    """
    if not tasks and (manifest := complete_manifest(job)):
        print("nothing to do: the dataset is complete")
        print_shares(manifest["totals"])
        print_lost(manifest["totals"], job.config.draws, come_back=come_back)
        print_next(job.out)
        return RunEnd(0, job)
    records = read_records(job.out)
    refuse_odds(job.out, records)
    totals = count_totals(job.plan, records, job.config.draws)
    try:
        _judge(job, totals["photos_lost"], totals["photos_planned"], records)
    except TooManyFailuresError as error:
        print(f"stopped: {error}")
        return RunEnd(EXIT_FAILED, job)
    say("writing pictures, tables and the manifest")
    end_retry(job)
    totals = end_dataset(job, records, totals)
    made = sum(task.photos * len(task.draws) for task in tasks)
    sum_up(job, totals, seconds=seconds, made=made, wall=time.monotonic() - pipeline.STARTED)
    print_lost(totals, job.config.draws, come_back=come_back)
    print_next(job.out)
    return RunEnd(0, job, records, totals)
