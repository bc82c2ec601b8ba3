"""Run: an ablation -> its rows trained, and compared in one table: the steps, in order."""

from dataclasses import replace
from functools import partial

from pbe.evaluation.ablation.checks import check_ablation, trainer_arguments, training_of
from pbe.evaluation.ablation.config import Ablation
from pbe.evaluation.ablation.rows import NAMES, Row, describe, method_spec
from pbe.evaluation.ablation.training import (
    STOPPED,
    Train,
    describe_end,
    is_finished,
    train_here,
    trained_steps,
    trainer_command,
)
from pbe.evaluation.running.run import compare
from pipeline.command import EXIT_FAILED
from pipeline.hints import short_path

LOG_SUFFIX = ".log"


def ablate(ablation: Ablation, *, train: Train | None = None) -> int:
    """Train what is not trained, then compare; return the exit code: 1 where a training failed.

    Args:
        train: runs the trainer.

    Raises:
        InputError: a flag, the dataset, the prior, the bench or the output is wrong.
        KeyboardInterrupt: this process or a training was told to stop.
    """
    rows = check_ablation(ablation)
    print(f"rows of {ablation.steps:,} steps, preset {ablation.preset}:", *describe(rows), sep="\n", flush=True)
    on_cpu = {"DS_ACCELERATOR": "cpu"} if ablation.evaluation.device == "cpu" else {}
    failures = _train_all(ablation, rows, train or partial(train_here, env=on_cpu))
    specs = [
        method_spec(
            row, model=str(training_of(ablation, row)), unavailable=row.unavailable or failures.get(row.label, "")
        )
        for row in rows
    ]
    methods = (*specs, *ablation.evaluation.methods[len(NAMES) :])
    code = compare(replace(ablation.evaluation, methods=methods))
    return code or (EXIT_FAILED if failures else 0)


def _train_all(ablation: Ablation, rows: tuple[Row, ...], train: Train) -> dict[str, str]:
    """Train the rows that can be and are not; return why others could not, by their labels."""
    failures = {}
    for number, row in enumerate(rows, 1):
        where = f"row {number} of {len(rows)}, {row.label}"
        if row.unavailable:
            print(f"{where}: unavailable: {row.unavailable}", flush=True)
        elif is_finished(training_of(ablation, row), steps=ablation.steps):
            print(f"{where}: is trained: {short_path(str(training_of(ablation, row)))}", flush=True)
        elif reason := _train(ablation, row, train, where=where):
            print(f"{where}: {reason}", flush=True)
            failures[row.label] = reason
    return failures


def _train(ablation: Ablation, row: Row, train: Train, *, where: str) -> str:
    """Train a row; return why it failed; empty: it did not."""
    out, arguments = training_of(ablation, row), trainer_arguments(ablation, row)
    log = out.with_suffix(LOG_SUFFIX)
    print(f"{where}: {trainer_command(arguments)}", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    code = train(arguments, log)
    if code == 0 and is_finished(out, steps=ablation.steps):
        return ""
    if code in (0, *STOPPED):
        print(f"{where}: was told to stop at step {trained_steps(out):,}", flush=True)
        raise KeyboardInterrupt
    return describe_end(code, log)
