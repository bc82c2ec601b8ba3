"""Ending: a job's records -> pictures, tables and manifest, and what is printed and logged of a run."""

import time
from collections.abc import Mapping
from dataclasses import asdict

from pipeline.encoders.names import UNTRAINED
from pipeline.errors import InputError
from pipeline.hints import look_line, verify_command
from pipeline.jobs.preparation import PreparedJob
from pipeline.jobs.workshop import UnitResult
from pipeline.planning.tasks import UnitTask
from pipeline.run_log import RunLog
from pipeline.shards.card import describe_samples, funnel_rows
from pipeline.shards.kept_boxes import share_drawn, share_table
from pipeline.shards.manifest import finish_dataset, read_manifest
from pipeline.shards.recipe import Json
from pipeline.shards.totals import describe_counts, photos_lost_by_reason, units_at_odds
from pipeline.storage.folder import Folder
from pipeline.storage.redaction import redact
from schemas.shards import CONFIG, UnitRecord, json_bytes, record_path

SHOWN_ERRORS = 5


def complete_manifest(job: PreparedJob) -> Json | None:
    """The manifest, where it already describes just these draws."""
    try:
        manifest = read_manifest(job.out)
    except InputError:  # none yet, or a damaged one, which the end of the job writes anew
        return None
    return manifest if manifest["draws"] == job.config.draws and manifest["recipe"] == job.recipe else None


def log_beginning(job: PreparedJob, log: RunLog, tasks: list[UnitTask], done: int) -> None:
    """Leave under run/ the effective config, and what this run has to do."""
    job.out.write(CONFIG, redact(json_bytes(asdict(job.config)).decode()).encode())
    log.counts |= {"unit_draws_finished": done, "unit_draws_to_make": sum(len(task.draws) for task in tasks)}
    log.counts["unit_draws_made"] = 0
    if job.intent.units:
        log.counts["units_retried"] = len(job.intent.units)
    log.note()


def report_errors(out: Folder, errors: Mapping[int, UnitResult]) -> None:
    """Write all errors with their tracebacks under run/, and show the first."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"run/errors-{stamp}.txt"
    traces = [f"unit {unit}: {result.error}\n{result.trace}\n" for unit, result in sorted(errors.items())]
    out.write(name, "".join(traces).encode())
    units = f"{len(errors)} unit{'s' if len(errors) > 1 else ''}"
    print(f"{units} failed; run the same command again to retry (all: {out.url}/{name})")
    for unit, result in sorted(errors.items())[:SHOWN_ERRORS]:
        print(f"  unit {unit}: {result.error[:300]}")


def end_dataset(job: PreparedJob, records: list[UnitRecord], totals: Json) -> Json:
    """Write pictures, tables, card and, last, the manifest.

    Returns:
        The totals as the manifest has them.
    """
    # What draws pictures takes seconds to import, and a run that finds its dataset complete draws none.
    from pipeline.pictures.cut_sources import Photos
    from pipeline.pictures.funnel import write_funnel
    from pipeline.pictures.overview import write_overview

    photos = Photos(job.store, job.recipe)
    find_source = photos.cut_if_there if job.store.at_hand else lambda row: None
    write_overview(job.out, records, seed=job.config.seed, find_source=find_source)
    write_funnel(job.out, totals)
    manifest = finish_dataset(
        job.out, records, recipe=job.recipe, plan=job.plan, draws=job.config.draws, names=job.names
    )
    written: Json = manifest["totals"]
    return written


def refuse_odds(out: Folder, records: list[UnitRecord]) -> None:
    """Refuse to finish a dataset in which draws of a unit did not lose the same photos: jobs wrote into one another.

    Raises:
        InputError: naming the records to remove.
    """
    odd = units_at_odds(records)
    if odd:
        names = " ".join(record_path(record.unit, record.draw) for record in odd[0])
        more = f", and likewise those of {len(odd) - 1} more units" if odd[1:] else ""
        raise InputError(
            f"{out.url}: the draws of unit {odd[0][0].unit} did not lose the same photos; remove {names}{more}, then "
            "run the same command again, which makes them anew"
        )


def print_lost(totals: Json, draws: int, *, come_back: str) -> None:
    """Say how many photos were lost by which reason, where some were.

    Args:
        come_back: how they get into the dataset, once they can be read.
    """
    lost = photos_lost_by_reason(totals, draws)
    if lost:
        print(f"photos lost: {sum(lost.values()):,} ({describe_counts(lost)}); {come_back}")


def print_shares(totals: Json) -> None:
    """Say which share of the kept boxes was drawn, and which share other numbers of draws take."""
    table = ", ".join(f"{draws}: {share}" for draws, share in share_table(totals).items())
    print(f"kept boxes drawn: {share_drawn(totals)}{table and f'; by --draws {table}'}")


def print_next(out: Folder) -> None:
    """Say how to look at a finished dataset, and how to verify it."""
    print(look_line(out.url))
    print(f"verify it: {verify_command(out.url)}")


def sum_up(job: PreparedJob, totals: Json, *, seconds: Mapping[str, float], made: int, wall: float) -> None:
    """Print the funnel, and what the run took.

    Args:
        seconds: of thread time, by stage.
        made: draws made in this run.
        wall: seconds since the command began.
    """
    for stage, reason, count in funnel_rows(totals):
        if count or stage == "samples":
            print(f"  {stage:>14}  {reason:<24} {count:>14,}")
    print_shares(totals)
    print(f"{describe_samples(totals)} in {wall:.0f} s, start-up included")
    if seconds:
        stages = ", ".join(f"{name} {value:.1f} s ({made / value:,.0f}/s)" for name, value in seconds.items() if value)
        print(f"thread time by stage for {made:,} draws made in this run: {stages}")
    if UNTRAINED in (job.config.vae, job.config.clip):
        print("the encoders are untrained: these latents and vectors serve to try the system, not to train a model")
    print(f"dataset: {redact(job.out.url)}  (overview.png and funnel.png show it)")
