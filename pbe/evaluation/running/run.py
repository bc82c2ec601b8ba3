"""Run: the command's flags -> pictures, scores, a summary and the report: the steps of an evaluation, in order."""

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pbe.evaluation.bench.digests import Digests
from pbe.evaluation.bench.recorded import cases_table
from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.overlap.facts import read_overlap
from pbe.evaluation.report.writing import write_report
from pbe.evaluation.running.comparison import Comparison, Part
from pbe.evaluation.running.copies import copies_of
from pbe.evaluation.running.distances import measure_distances
from pbe.evaluation.running.facts import list_banners, list_metrics, list_notes
from pbe.evaluation.running.finished import find_finished, keep_finished, stamp_inputs
from pbe.evaluation.running.opening import (
    check_methods,
    cut_from_dataset,
    open_checked_bench,
    open_comparison,
)
from pbe.evaluation.running.output import claim_output, refuse_foreign
from pbe.evaluation.running.real_features import FILE, check_real, open_real
from pbe.evaluation.running.records import PartRecord, find_done
from pbe.evaluation.running.scorer import Scorer, check_encoders, open_scorer
from pbe.evaluation.running.scores_files import read_scores
from pbe.evaluation.running.summing import mark_copies, summarise
from pbe.evaluation.running.working import Done, Todo, Worker
from pbe.evaluation.summary import Summary
from pipeline.command import EXIT_FAILED
from pipeline.errors import InputError
from pipeline.hints import command_line, short_path
from pipeline.storage.folder import Folder
from pipeline.storage.output_lock import locked
from pipeline.storage.redaction import redact
from schemas.scores import BENCH, REPORT, SCORES, SCORES_TABLE, SUMMARY

LOG = "run/methods.log"
MOST_REASONS = 5  # that are printed
Work = Callable[[EvaluateConfig, Comparison, Scorer, Sequence[Todo]], Iterator[Done]]


def compare(config: EvaluateConfig, *, work: Work | None = None) -> int:
    """Compare methods; return the exit code: 1 where no row has a picture.

    Args:
        work: makes what parts lack: here, or on a cluster.

    Raises:
        InputError: a flag, the bench, a method or the output is wrong.
    """
    began = time.monotonic()
    _check_flags(config)
    opened = None if config.bench_from else open_checked_bench(config)
    with locked(Folder(config.out)):
        if config.bench_from:
            config = cut_from_dataset(config)
        bench, digests = opened or open_checked_bench(config)
        comparison = open_comparison(config, bench, digests)
        claim_output(comparison)
        for line in _plan_lines(comparison):
            print(line, flush=True)
        comparison.out.write(BENCH, cases_table(bench, digests))
        parts = list(comparison.parts())
        records: Mapping[str, PartRecord]
        records = find_done(comparison, parts, overwrite=config.overwrite, retry_failed=config.retry_failed)
        inputs, todo = stamp_inputs(config, comparison), list[Todo]()
        summary = find_finished(comparison, inputs, parts, records)
        if summary is None:
            summary, records, todo = _work_and_sum_up(config, comparison, digests, parts, records, inputs, work)
    ended = _end_lines(comparison, summary, todo, parts=len(parts), seconds=time.monotonic() - began)
    for line in (*_why_lines(parts, records), *ended):
        print(redact(line))
    return EXIT_FAILED if all(row.unavailable or row.failed == row.cases for row in summary.rows) else 0


def _work_and_sum_up(
    config: EvaluateConfig,
    comparison: Comparison,
    digests: Digests,
    parts: Sequence[Part],
    records: Mapping[str, PartRecord],
    inputs: dict[str, Any] | None,
    work: Work | None,
) -> tuple[Summary, Mapping[str, PartRecord], list[Todo]]:
    """Make what parts lack, and sum all of them up.

    Args:
        inputs: their stamp, from before any of them is read.

    Returns:
        The summary, the records of all parts, and what was to do.
    """
    if config.features:
        print("opening the encoders of features", flush=True)
    scorer = open_scorer(config, comparison)
    if config.real.endswith(FILE):
        open_real(config.real, scorer.encoders[0], comparison.out)  # refused now, if it is of another encoder
    scored = _read(comparison.out, parts, records, scorer)
    todo = [Todo(part, records.get(part.name)) for part in parts if part.name not in scored]
    _make(config, comparison, scorer, todo, work or work_here, total=len(parts))
    if todo:
        records = find_done(comparison, parts, overwrite=False, retry_failed=False)
        scored = _read(comparison.out, parts, records, scorer)
        if work:
            scorer = open_scorer(config, comparison)  # with the features that others have kept meanwhile
    if lost := [part.name for part in parts if part.name not in scored]:
        raise InputError(
            f"--out {config.out}: {len(lost)} parts were made, and are not there: {', '.join(lost[:3])}; see what "
            "else writes there, and run the same command again"
        )
    summary, sound = _sum_up(config, comparison, scorer, parts, records, scored, digests)
    keep_finished(comparison.out, inputs if sound else None, parts, records)
    return summary, records, todo


def _check_flags(config: EvaluateConfig) -> None:
    """Refuse what can be seen to be wrong before a bench is opened, and anything is written."""
    check_encoders(config)
    check_methods(config)
    check_real(config.real)
    if config.overlap:
        read_overlap(config.overlap)
    refuse_foreign(Folder(config.out))


def work_here(config: EvaluateConfig, comparison: Comparison, scorer: Scorer, todo: Sequence[Todo]) -> Iterator[Done]:
    """Make what parts lack in this process."""
    worker = Worker(comparison, scorer)
    try:
        yield from worker.work(todo)
    finally:
        worker.close()


def _read(
    out: Folder, parts: Sequence[Part], records: Mapping[str, PartRecord], scorer: Scorer
) -> dict[str, list[dict[str, Any]]]:
    known = [(part, records[part.name]) for part in parts if part.name in records]
    return read_scores(out, known, scorer.settings)


def _make(
    config: EvaluateConfig, comparison: Comparison, scorer: Scorer, todo: Sequence[Todo], work: Work, *, total: int
) -> None:
    """Make what parts lack, with one bar over all methods; tracebacks of methods go to the log."""
    if not todo:
        return
    cases = sum(len(each.part.cases) for each in todo)
    with tqdm(total=cases, desc=f"{len(todo)} of {total} parts", unit="case", mininterval=1, dynamic_ncols=True) as bar:
        for done in work(config, comparison, scorer, todo):
            bar.update(done.cases)
            if done.log:
                earlier = comparison.out.read_if_there(LOG) or b""
                comparison.out.write(LOG, earlier + redact("\n".join((*done.log, ""))).encode())


def _sum_up(
    config: EvaluateConfig,
    comparison: Comparison,
    scorer: Scorer,
    parts: Sequence[Part],
    records: Mapping[str, PartRecord],
    scored: Mapping[str, Sequence[Mapping[str, Any]]],
    digests: Digests,
) -> tuple[Summary, bool]:
    """Write scores, summary and report.

    Returns:
        The summary, and whether all that it follows from could be read.
    """
    by_row: dict[str, list[Mapping[str, Any]]] = {line.name: [] for line in comparison.lines()}
    for part in parts:
        for score in scored[part.name]:
            by_row[score["row"]].append(score)
    copies = copies_of(comparison, digests)
    real, faults = open_real(config.real, scorer.encoders[0], comparison.out) if config.real else (None, [])
    distances = measure_distances(comparison, parts, records, scorer, real) if real else {}
    faults = [*faults, *(fault for encoder in scorer.encoders for fault in encoder.damaged)]
    scorer.flush()
    scores = mark_copies(by_row, copies)
    summary = summarise(
        comparison,
        scores,
        metrics=list_metrics(config, scorer, copies),
        distances=distances,
        copies=copies,
        banners=list_banners(config, comparison, scorer, distances),
        notes=list_notes(config, comparison, scorer, copies, faults),
    )
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([score for column in scores.values() for score in column], SCORES), content)
    comparison.out.write(SCORES_TABLE, content.getvalue())
    comparison.out.write(SUMMARY, summary.to_json())
    write_report(comparison.out)
    return summary, not faults


def _plan_lines(comparison: Comparison) -> Iterator[str]:
    bench = comparison.bench
    part = f" of {bench.subset_of:,}, a seeded choice" if bench.subset_of else ""
    yield f"bench: {bench.name}, {len(bench.cases):,} cases{part}"
    yield from (f"  {note}" for note in (*bench.banners, *bench.notes))
    yield f"rows: {', '.join(line.name for line in comparison.lines()) or 'none'}"
    yield from (f"unavailable: {name}: {reason}" for name, reason in comparison.unavailable)


def _why_lines(parts: Sequence[Part], records: Mapping[str, PartRecord]) -> Iterator[str]:
    """Name the commonest reasons for which cases failed."""
    cases: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        for case, reason in records[part.name].failed.items():
            cases.setdefault((part.called, reason), []).append(case)
    whys = sorted(cases.items(), key=lambda why: -len(why[1]))
    for (method, reason), failed in whys[:MOST_REASONS]:
        more = f" and {len(failed) - 1:,} more" if len(failed) > 1 else ""
        yield f"failed: {method}: case {failed[0]}{more}: {reason}"
    if len(whys) > MOST_REASONS:
        yield f"failed: for {len(whys) - MOST_REASONS:,} other reasons: see below"


def _end_lines(
    comparison: Comparison, summary: Summary, todo: Sequence[Todo], *, parts: int, seconds: float
) -> Iterator[str]:
    out = comparison.out
    painted = sum(each.record is None for each in todo)
    scored = f", {len(todo) - painted:,} only scored anew" if painted < len(todo) else ""
    failed = sum(row.failed for row in summary.rows)
    yield (
        f"{parts:,} parts: {parts - len(todo):,} were finished, {painted:,} made{scored}, in {seconds:.0f} s, "
        f"start-up included; {failed:,} cases failed"
    )
    if failed:
        yield f"each: {SCORES_TABLE}, column failed; tracebacks: {LOG}; --retry-failed edits them again"
    yield from (f"NOTE: {banner}" for banner in summary.banners)
    yield f"report: {short_path(out.path(REPORT)) if out.local else f'{out.url}/{REPORT}'}"
    yield f"every case: {command_line('python', '-m', 'dashboards.browse', short_path(out.url))}"
