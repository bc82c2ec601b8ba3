"""The log of a run: what its bar counts."""

import time
from pathlib import Path

from pbe.training.run_folder import METRICS, grid_path, grid_scores_path, read_rows
from pbe.training.telemetry import Telemetry
from schemas.validation import validation_path


def test_what_happens_between_two_steps_is_left_out_of_the_bars_time(tmp_path: Path) -> None:
    log = Telemetry(tmp_path, done=0, steps=4)
    log.write({"step": 1, "loss": 1.0})
    began, last = log.bar.start_t, log.bar.last_print_t
    with log.paused():
        time.sleep(0.05)
    assert log.bar.start_t - began >= 0.05 and log.bar.last_print_t - last >= 0.05
    log.write({"step": 2, "loss": float("nan")})
    log.close()
    assert log.bar.n == 2
    assert [row["loss"] for row in read_rows(tmp_path / METRICS)] == [1.0, None]


def test_a_resumed_training_removes_the_grids_and_tables_after_its_checkpoint(tmp_path: Path) -> None:
    paths = [grid_path(tmp_path, step) for step in (2, 3, 100_000_000)]
    paths += [tmp_path / validation_path(step) for step in (2, 3)]
    paths += [grid_scores_path(tmp_path, step) for step in (2, 3)]
    for path in (*paths, tmp_path / "grids/mine.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    Telemetry(tmp_path, done=2, steps=4).close()
    assert [path.exists() for path in paths] == [True, False, False, True, False, True, False]
    assert (tmp_path / "grids/mine.png").exists()
