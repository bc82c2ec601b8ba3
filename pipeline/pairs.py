"""Pairs: a folder of photos, masks and perhaps exemplars -> a dataset of shards, to fine-tune a model on.

    python -m pipeline.pairs --pairs FOLDER --model MODEL --out OUT
    python pbe/train.py 24gb --data OUT --init-from MODEL --vae MODEL --exemplar-encoder MODEL --out RUN

The shard job without Ray: every pair is one box, whose mask and exemplar are given instead of drawn. Running the same
command again finishes the work.
"""

import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import tyro
from tqdm import tqdm

from pipeline.command import EXIT_FAILED, describe_code, is_given, run_command
from pipeline.errors import InputError
from pipeline.jobs.inputs import CheckedInputs, check_encoders, check_inputs
from pipeline.jobs.preparation import PreparedJob, list_finished
from pipeline.jobs.run import RunEnd, hold_output, run_job, say
from pipeline.jobs.workshop import OpenWorkshop, Workshop
from pipeline.pairing.config import PairConfig
from pipeline.pairing.fine_tuning import fine_tune_line
from pipeline.pairing.folder import read_pairs
from pipeline.pairing.report import drop_lines, find_dropped, judge_drops, not_drawn_line
from pipeline.pairing.store import PairStore
from pipeline.pairing.table import describe_changes, keep_table, tabulate
from pipeline.planning.plan_files import read_units
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.storage.holders import Hold
from pipeline.storage.redaction import redact
from pipeline.storage.urls import absolute, absolute_output, is_local
from pipeline.storage.writable import refuse_unwritable
from schemas.boxes import ID_COLUMN
from schemas.shards import SPLITS

COME_BACK = "pictures that come later are other pairs, which another --out takes in, or --overwrite"


def shard_pairs(arguments: list[str]) -> int:
    """Run the command.

    Returns:
        The exit code: 0 when the dataset is complete, and no more pairs than --max-drops gave nothing.
    """
    config = tyro.cli(PairConfig, args=arguments, prog="python -m pipeline.pairs")
    config = replace(config, out=absolute_output("--out", config.out), pairs=absolute(config.pairs))
    if is_local(config.out):  # files are hashed before the output is held, which may take minutes
        refuse_unwritable(f"--out {config.out}", Path(config.out))
    check_encoders(config.shard_config(table=""))
    say(describe_code())
    say(f"output: {config.out}")
    folder = Folder(config.pairs)
    pairs = read_pairs(folder, say=say)
    with tqdm(desc="hashing the files", total=len(pairs), unit=" pairs", leave=False, delay=1) as bar:
        table = tabulate(folder, pairs, repaint=config.repaint, progress=lambda read: bar.update(read - bar.n))
    with hold_output(config.out) as hold:
        end = _make_dataset(config, folder, table, hold, draws_given=is_given("--draws", arguments))
    return _report(config, end, table)


def _make_dataset(config: PairConfig, folder: Folder, table: pa.Table, hold: Hold, *, draws_given: bool) -> RunEnd:
    """Run the shard job on an output that is held.

    Raises:
        InputError: it holds work on other pairs; names those that came, went or changed.
    """
    out, store = Folder(config.out, guard=hold.check), PairStore(folder, table)
    changes = describe_changes(out, table)
    if changes and list_finished(out) and not config.overwrite:
        raise InputError(
            f"--out {config.out}: was begun with other pairs ({changes}); give another --out, or --overwrite to start "
            "anew"
        )
    say(f"{len(table):,} pairs of {len(set(table[ID_COLUMN].to_pylist())):,} photos")
    checked = check_inputs(config.shard_config(table=keep_table(out, table)), store=store)
    return run_job(
        checked,
        hold=hold,
        open_workshop=_workshop(store, config.workers),
        draws_given=draws_given,
        come_back=COME_BACK,
        check_plan=_refuse_no_training,
    )


def _workshop(store: PairStore, workers: int) -> OpenWorkshop:
    def open_workshop(checked: CheckedInputs, device: str) -> AbstractContextManager[Workshop]:
        # torch and the encoders' libraries take seconds to import: a complete dataset does without.
        from pipeline.pairing.making import open_threads

        return open_threads(checked, store, device=device, workers=workers)

    return open_workshop


def _refuse_no_training(job: PreparedJob) -> None:
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


def _report(config: PairConfig, end: RunEnd, table: pa.Table) -> int:
    """Print what became of the pairs and what to do next, and return the exit code."""
    if end.code:
        return end.code
    job, out = end.job, end.job.out
    records = end.records or read_records(out)  # a run that found the dataset complete has read none
    dropped = find_dropped(out, records)
    too_many = judge_drops(out, records, dropped, most=config.max_drops)
    lines = [*drop_lines(out, dropped), not_drawn_line(table, draws=job.config.draws)]
    if any(record.samples for record in records):
        lines.append(fine_tune_line(job.config, config.model, records))
    for line in (*lines, too_many):
        if line:
            print(redact(line))
    return EXIT_FAILED if too_many or not any(record.samples for record in records) else 0


if __name__ == "__main__":
    sys.exit(run_command(shard_pairs))
