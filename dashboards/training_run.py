"""Training run: a training's OUT -> its config, log, sample grids with scores, losses by sample, newest checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pbe.training.run_folder import (
    METRICS,
    RECORD,
    STEP,
    Row,
    grid_scores,
    list_checkpoints,
    read_rows,
    sample_grids,
    validation_tables,
)
from pipeline.errors import InputError
from pipeline.storage.tables import table_from
from schemas.grid_scores import GridScores, read_grid_scores
from schemas.validation import VALIDATION

LOSSES = ("loss", "loss_inside", "loss_outside", "loss_ema", "loss_inside_ema", "loss_outside_ema")


@dataclass(frozen=True)
class TrainingRun:
    """What a training, under way or ended, has written so far.

    Args:
        record: of run.json: config, commit, versions, dataset_digest, draws, world.
        rows: of metrics.jsonl, a step each, ascending; a loss that was not finite is None.
        grids: pictures of sample grids, by step, ascending.
        scores: of sample grids, by step, ascending; see `read_scores`.
        tables: of validation losses, by step, ascending; see `losses`.
        checkpoint: step of the newest one; None: there is none yet.
    """

    folder: Path
    record: Mapping[str, Any]
    rows: tuple[Row, ...]
    grids: Mapping[int, Path]
    scores: Mapping[int, Path]
    tables: Mapping[int, Path]
    checkpoint: int | None

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name

    @property
    def config(self) -> Mapping[str, Any]:
        """Its flags."""
        config: Mapping[str, Any] = self.record["config"]
        return config

    def losses(self, step: int) -> pa.Table:
        """Read the losses of every validation sample at a step of `tables`: rows of VALIDATION.

        Raises:
            InputError: the file is damaged, or no such table.
        """
        path = self.tables[step]
        try:
            table = table_from(path.read_bytes())
        except (OSError, pa.ArrowException) as error:
            fault = " ".join(str(error).split())
            raise InputError(f"{path}: cannot be read ({fault}); remove it, or train these steps again") from error
        if table.schema != VALIDATION:
            columns = ", ".join(table.column_names)
            raise InputError(f"{path}: has other columns ({columns}); read it with the version that wrote it")
        return table


def read_training(url: str) -> TrainingRun:
    """Read what a training's folder holds; grids, scores and tables are not opened.

    Raises:
        InputError: it is no training's folder, has nothing to show yet, or its record or log is damaged.
    """
    folder = Path(url)
    if not folder.is_dir():
        raise InputError(f"{url}: no such folder; give the --out of a training")
    record = _read_record(folder / RECORD)
    newest = [int(path.name.removeprefix(STEP)) for path in list_checkpoints(folder) if _is_step(path.name)]
    run = TrainingRun(
        folder=folder.resolve(),
        record=record,
        rows=tuple(_read_log(folder / METRICS)),
        grids=sample_grids(folder),
        scores=grid_scores(folder),
        tables=validation_tables(folder),
        checkpoint=max(newest, default=None),
    )
    if not (run.rows or run.grids or run.tables):
        raise InputError(f"{url}: has not ended its first step yet; look again later, or run the training again")
    return run


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path.parent}: no {RECORD}, so no training's folder; give the --out of one") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is damaged ({error}); run the training's command again, which writes it") from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise InputError(f"{path}: is not the record of a training; give the --out of one")
    return record


def _read_log(path: Path) -> list[Row]:
    try:
        rows = read_rows(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is damaged ({error}); restore it, or remove it to see the rest") from error
    for line, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            raise InputError(f"{path} line {line}: has no step; restore it, or remove it to see the rest")
    return rows


def _is_step(name: str) -> bool:
    return name.removeprefix(STEP).isdecimal()


def read_scores(run: TrainingRun) -> tuple[list[GridScores], list[str]]:
    """Read the scores of all sample grids, by step, and say which files cannot be read."""
    records, faults = [], []
    for path in run.scores.values():
        try:
            records.append(read_grid_scores(path.read_bytes()))
        except (OSError, ValueError) as error:
            faults.append(f"{path}: cannot be read ({error}); train these steps again to have it written anew")
    return records, faults


def losses_by_key(run: TrainingRun) -> tuple[int, dict[str, dict[str, Any]]]:
    """Read the losses of the newest validation, the worst first: its step, and fields by sample.

    A loss that is not finite comes before all others, as `loss_not_finite`: the App knows no such number.
    """
    step = max(run.tables)
    table = run.losses(step)
    bad = pc.invert(pc.fill_null(pc.is_finite(table["loss"]), True))
    order = pc.sort_indices(
        pa.table({"bad": bad.cast(pa.int8()), "loss": table["loss"], "key": table["key"]}),
        sort_keys=[("bad", "descending"), ("loss", "descending"), ("key", "ascending")],
    )
    fields = {}
    for row in table.append_column("loss_not_finite", bad).take(order).to_pylist():
        losses = {name: row[name] for name in LOSSES}
        fields[row["key"]] = {**losses, "timestep": row["timestep"], "loss_not_finite": row["loss_not_finite"]}
    return step, fields
