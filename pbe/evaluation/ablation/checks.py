"""Checks: an ablation -> its rows, with all that is wrong said before the first training. Imports torch for a prior."""

from dataclasses import replace
from pathlib import Path

from pbe.evaluation.ablation.config import Ablation, parse_row
from pbe.evaluation.ablation.prior import caveat_of, check_prior
from pbe.evaluation.ablation.rows import Row, plan_rows
from pbe.evaluation.ablation.training import exported_step, is_finished, trained_steps
from pbe.evaluation.running.opening import check_methods, cut_from_dataset, open_checked_bench
from pbe.evaluation.running.scorer import check_encoders
from pbe.training.checks import check_training
from pbe.training.config import TrainConfig
from pipeline.encoders.names import absolute_name
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.output_lock import locked
from schemas.scores import EVALUATION

TRAININGS = "train"


def check_ablation(ablation: Ablation) -> tuple[Row, ...]:
    """Check trainings and evaluation, and cut or look at the bench; return the rows.

    Raises:
        InputError: naming the row or the flag, and what to give.
    """
    check_encoders(ablation.evaluation)
    check_methods(ablation.evaluation)
    if not ablation.evaluation.bench_from:
        open_checked_bench(ablation.evaluation)
    caveat = caveat_of(ablation.prior) if ablation.prior else ""
    rows = plan_rows(absolute_name(ablation.prior), caveat=caveat)
    configs = [_check_row(ablation, row) for row in rows if not row.unavailable]
    _refuse_made(ablation, rows)
    if ablation.prior and not all(is_finished(training_of(ablation, row), steps=ablation.steps) for row in rows):
        check_prior(ablation.prior, configs[0])
    if ablation.evaluation.bench_from:
        with locked(Folder(ablation.evaluation.out)):
            open_checked_bench(cut_from_dataset(ablation.evaluation))
    return rows


def trainer_arguments(ablation: Ablation, row: Row) -> list[str]:
    """Write the trainer's arguments for a row."""
    own = ["--data", ablation.data, "--out", str(training_of(ablation, row)), "--steps", str(ablation.steps)]
    return [ablation.preset, *own, *row.flags, *ablation.trainer]


def training_of(ablation: Ablation, row: Row) -> Path:
    """Return the folder of a row's training."""
    return Path(ablation.out) / TRAININGS / row.folder


def _check_row(ablation: Ablation, row: Row) -> TrainConfig:
    out = training_of(ablation, row)
    config = parse_row(trainer_arguments(ablation, row))
    try:
        check_training(replace(config, out=str(out)))
    except InputError as error:
        is_trainers = str(error).startswith("--") and not str(error).startswith(("--data", "--out"))
        hint = "; flags of the trainer stand after a lone --" if is_trainers else ""
        raise InputError(f"row {row.label}: {error}{hint}") from error
    if (steps := trained_steps(out)) > ablation.steps:
        raise InputError(
            f"--steps {ablation.steps}: {out} has {steps} steps already; give that number, or another --out"
        )
    return config


def _refuse_made(ablation: Ablation, rows: tuple[Row, ...]) -> None:
    """Refuse to train rows further whose pictures are made, since the evaluation would refuse them after it."""
    if ablation.evaluation.overwrite or Folder(ablation.evaluation.out).read_if_there(EVALUATION) is None:
        return
    steps = {exported_step(training_of(ablation, row)) for row in rows} - {None, ablation.steps}
    if steps:
        raise InputError(
            f"--steps {ablation.steps}: {ablation.evaluation.out} evaluates models of step {steps.pop()}; give "
            "--overwrite to make their pictures again, or another --out"
        )
