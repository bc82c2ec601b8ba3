"""What a training writes to be looked at: sample grids, and validation tables. Neither changes it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pbe.training.run_folder import (
    CHECKPOINTS,
    METRICS,
    Row,
    grid_path,
    grid_scores,
    grid_scores_path,
    read_rows,
    sample_grids,
    validation_tables,
)
from pbe.training.sample_grids import GUIDANCE
from schemas.grid_scores import COPY_PASTE, SIMILARITY, SOURCE, guidance_name
from schemas.validation import VALIDATION, validation_path
from tests.pbe.training.rank_group import RankGroup

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("trainings")]

BASE = ["smoke", "--steps", "2", "--workers", "0", "--ema", ".9", "--micro-batch", "1", "--save-every", "1"]
GRIDS, TABLES, STAGE_3 = ("--grid-every", "1"), ("--eval-every", "1"), ("--zero-stage", "3")


def run(place: Path, *lines: list[str], world: int = 1) -> None:
    with RankGroup(place / "log", "tests.pbe.training.preloaded.train_all", [list(lines)], world=world) as group:
        assert set(group.wait()) == {0}, (place / "log").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Any]) -> Path:
    """One training three times: with tables by one rank, with grids by one, with both by two."""
    place = tmp_path_factory.mktemp("looks")
    make(place / "data", split_shares=(0.25, 0.75, 0.0))  # 3 samples of a draw for validation
    run(place, line(place, "tables", *TABLES, *STAGE_3), line(place, "grids", "--grid-every", "2", "--eval-every", "0"))
    run(place, line(place, "both", *TABLES, *GRIDS, *STAGE_3), world=2)
    return place


def line(place: Path, out: str, *more: str) -> list[str]:
    return [*BASE, "--data", str(place / "data"), "--out", str(place / out), *more]


def rows_of(table: Path) -> list[Row]:
    content = pq.read_table(table)
    assert content.schema == VALIDATION
    return list(content.to_pylist())


def test_grids_and_tables_change_no_training(place: Path) -> None:
    first, *others = [
        [(row["batch"], row["loss"]) for row in read_rows(place / out / METRICS)] for out in ("tables", "grids", "both")
    ]
    for other in others:
        assert [batch for batch, _ in other] == [batch for batch, _ in first]
        assert [loss for _, loss in other] == pytest.approx([loss for _, loss in first], abs=1e-5)


def test_sample_grids_look_alike_at_every_stage_and_world_size(place: Path) -> None:
    assert "sample grid: " in (place / "log").read_text() and not (place / "tables" / "grids").exists()
    assert sample_grids(place / "grids") == {2: place / "grids" / "grids" / "step-00000002.png"}
    early, late, other = (
        np.asarray(Image.open(grid_path(place / run, step))).astype(int)
        for run, step in (("both", 1), ("both", 2), ("grids", 2))
    )
    assert late.shape == other.shape and np.abs(late - other).mean() < 1
    assert np.abs(late - early).max() > 0


def test_the_pictures_of_each_grid_are_scored_in_a_file_and_in_tensorboard(place: Path) -> None:
    board = EventAccumulator(str(place / "both" / "tensorboard")).Reload()
    for step, path in grid_scores(place / "both").items():
        record = json.loads(path.read_bytes(), parse_constant=pytest.fail)
        assert (record["step"], record["split"], record["weights"]) == (step, "validation", "moving average")
        assert record["tower"] == "untrained" and len(record["keys"]) == 3
        assert list(record["scores"]) == [COPY_PASTE, SIMILARITY]
        for metric, scores in record["scores"].items():
            assert set(scores) == {SOURCE, *map(guidance_name, GUIDANCE)}
            for name, score in scores.items():
                assert [value is None for value in score["values"]] == [bool(reason) for reason in score["reasons"]]
                assert score["mean"] is not None and -1 <= score["mean"] <= 1
                events = board.Scalars(f"samples_{metric}/{name.replace(' ', '_')}")
                assert events[step - 1].step == step and events[step - 1].value == pytest.approx(score["mean"])
    assert list(grid_scores(place / "both")) == list(sample_grids(place / "both")) == [1, 2]


def test_a_table_has_a_row_for_each_sample_whose_mean_is_the_logs_and_the_same_bytes_for_any_number_of_ranks(
    place: Path,
) -> None:
    tables, log = validation_tables(place / "tables"), read_rows(place / "tables" / METRICS)
    [index] = (place / "data" / "index" / "validation").glob("*-d00.parquet")
    keys = pq.read_table(index, columns=["key"])["key"].to_pylist()
    assert list(tables) == [row["step"] for row in log] == [1, 2] and len(keys) == 3
    for row in log:
        rows = rows_of(tables[row["step"]])
        assert [(sample["key"], sample["ordinal"]) for sample in rows] == list(zip(keys, range(3), strict=True))
        assert np.mean([sample["loss"] for sample in rows]) == row["validation_loss"]
        assert np.mean([sample["loss_ema"] for sample in rows]) == row["validation_loss_ema"]
        for kind in ("", "_ema"):
            for sample in rows:
                inside, outside = sample["hole"] * sample[f"loss_inside{kind}"], sample[f"loss_outside{kind}"]
                assert inside + (1 - sample["hole"]) * outside == pytest.approx(sample[f"loss{kind}"], abs=1e-5)
    assert [rows_of(path)[0]["timestep"] for path in tables.values()] == [rows_of(tables[1])[0]["timestep"]] * 2
    both = validation_tables(place / "both")
    assert {step: path.read_bytes() for step, path in both.items()} == {
        step: path.read_bytes() for step, path in tables.items()
    }


def test_a_resumed_training_writes_the_tables_and_grids_after_its_checkpoint_anew(place: Path) -> None:
    out = place / "resumed"
    shutil.copytree(place / "tables", out)
    whole = {path.name: path.read_bytes() for path in (out / "validation").iterdir()}
    shutil.rmtree(out / CHECKPOINTS / "step-00000002")
    (out / "grids").mkdir()
    for step in (2, 3):  # the third: of a training that had gone on
        for path in (out / validation_path(step), grid_path(out, step), grid_scores_path(out, step)):
            path.write_bytes(b"of weights that are gone")
    run(place, line(place, "resumed", *TABLES, *GRIDS, *STAGE_3))
    assert {path.name: path.read_bytes() for path in (out / "validation").iterdir()} == whole
    grids = {path.name: path.read_bytes() for path in (out / "grids").iterdir()}
    of_two_ranks = [grid_path(place / "both", 2), grid_scores_path(place / "both", 2)]
    assert grids == {path.name: path.read_bytes() for path in of_two_ranks}
