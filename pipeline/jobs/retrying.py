"""Retrying: lost photos that can be read now -> the units that lost them, made anew: `--retry-drops`.

Every photo that left at stage `photo`, for whatever reason, is read again. A unit is made anew, all of its draws
together, where one of these decodes now and all its other photos are what its index says; so it gains and loses
nothing. All this is found out before anything is changed: a fault of storage ends the command, and is no verdict.

Then, in this order: (1) the manifest is removed; (2) the intent is written: the units, the number of draws, and the
output's next generation; (3) the records of these units are removed, the highest draw first; (4) the intent is marked
as removed; (5) the units are made like any that have no record; (6) the intent is closed, and (7) the manifest written.

A kill between any two of them costs nothing but the time. Before (2), nothing has happened but that the manifest will
be written anew. From (2) to (4), whatever records the units have are old ones: the next run, with the flag or without,
removes them first. From (4) on they are new ones, which are kept. So no draw of a unit is made while an old one stands.
The intent is closed before the manifest is written, never after it: a manifest beside an open intent would call
complete what is not, and every reader would have to look at both; without an intent and without a manifest, the next
run writes the manifest. The generation stays when the intent is closed: writers that began under an older one, such as
an actor whose driver was killed, may hold a unit as it was when the photo was lost, and are refused like those of
another recipe. Shards and indexes stay until the new ones replace them, under the same names.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.retry_intent import RetryIntent, write_intent
from schemas.shards import MANIFEST, place_of_record

WRITERS = 16  # threads that wait for storage

Say = Callable[[str], None]


def take_up_retry(job: PreparedJob, *, say: Say) -> PreparedJob:
    """Go on with the retry that an earlier run began; with --retry-drops, then begin one.

    Returns:
        The job, for which the units to be made anew count as not finished.

    Raises:
        OSError: storage failed for a passing cause.
        InputError: a record is damaged.
    """
    job = _remove_records(job)
    if job.config.retry_drops:
        # Reading photos takes libraries that a run without the flag need not import.
        from pipeline.jobs.lost_photos import find_units

        units = find_units(job, say=say)
        if units:
            job.out.delete(MANIFEST)
            draws = max(place_of_record(name)[1] + 1 for name in job.finished)
            intent = RetryIntent(job.intent.generation + 1, units, draws, removed=False)
            write_intent(job.out, intent)
            job = _remove_records(replace(job, intent=intent))
    if job.intent.units:
        say(f"--retry-drops: units to be made anew, all draws together: {len(job.intent.units):,}")
    return job


def end_retry(job: PreparedJob) -> None:
    """Close the intent, once all units have their records and before the manifest is written."""
    if job.intent.units:
        write_intent(job.out, replace(job.intent, units=()))


def _remove_records(job: PreparedJob) -> PreparedJob:
    """Remove the old records of the units that are to be made anew, and mark that as done."""
    intent = job.intent
    if intent.removed:
        return job
    units = set(intent.units)
    old: dict[int, list[str]] = {}  # by draw
    for name in job.finished:
        unit, draw = place_of_record(name)
        if unit in units:
            old.setdefault(draw, []).append(f"units/{name}")
    with ThreadPoolExecutor(WRITERS) as pool:
        for draw in sorted(old, reverse=True):
            list(pool.map(job.out.delete, old[draw]))
    intent = replace(intent, removed=True)
    write_intent(job.out, intent)
    finished = frozenset(name for name in job.finished if place_of_record(name)[0] not in units)
    return replace(job, intent=intent, finished=finished)
