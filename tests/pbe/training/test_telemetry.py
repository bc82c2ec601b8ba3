"""The log of a run: what its bar counts, and what it says of its pace."""

import re
import time
from pathlib import Path

import pytest
from tqdm import tqdm

from pbe.training.run_folder import METRICS, grid_path, grid_scores_path, read_rows
from pbe.training.telemetry import FIRST, TIMED, Pace, Telemetry
from schemas.validation import validation_path


def test_what_happens_between_two_steps_is_left_out_of_the_bars_time(tmp_path: Path) -> None:
    log = Telemetry(tmp_path, done=0, steps=4, batch=2)
    log.write({"step": 1, "loss": 1.0})
    began, last = log.bar.start_t, log.bar.last_print_t
    with log.paused():
        time.sleep(0.05)
    assert log.bar.start_t - began >= 0.05 and log.bar.last_print_t - last >= 0.05
    log.write({"step": 2, "loss": float("nan")})
    log.close()
    assert log.bar.n == 2
    assert [row["loss"] for row in read_rows(tmp_path / METRICS)] == [1.0, None]


def test_a_bar_that_is_turned_off_stops_no_training(tmp_path: Path) -> None:
    log = Telemetry(tmp_path, done=0, steps=4, batch=2)
    log.bar = tqdm(total=4, disable=True)
    with log.paused():
        log.write({"step": 1, "loss": 1.0, "samples_per_second": 3.0})
    log.close()
    assert [row["step"] for row in read_rows(tmp_path / METRICS)] == [1]


@pytest.mark.parametrize("done", [0, 900])
def test_after_the_first_steps_the_time_of_a_step_and_the_end_are_told_once_pauses_left_out(done: int) -> None:
    now = [0.0]
    pace = Pace(steps=1000 - done, batch=16, clock=lambda: now[0])
    told = []
    for number in range(1, 40):
        now[0] += 60.0 if number <= FIRST else 2.0
        told.append(pace.step(data_wait=0.25))
        now[0] += 100.0  # a validation
        pace.leave_out(100.0)
    [line] = filter(None, told)
    assert told.index(line) == FIRST + TIMED - 1
    left = 1000 - done - FIRST - TIMED
    assert line.startswith(f"2 s a step, 8 images/s, 25% of it waiting for data; {left} steps to go, until about ")
    told_end = time.mktime(time.strptime(re.findall(r"about (.{16}),", line)[0], "%Y-%m-%d %H:%M"))
    assert abs(told_end - (time.time() + 2 * left)) <= 61


def test_a_resumed_training_removes_the_grids_and_tables_after_its_checkpoint(tmp_path: Path) -> None:
    paths = [grid_path(tmp_path, step) for step in (2, 3, 100_000_000)]
    paths += [tmp_path / validation_path(step) for step in (2, 3)]
    paths += [grid_scores_path(tmp_path, step) for step in (2, 3)]
    for path in (*paths, tmp_path / "grids/mine.png"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    Telemetry(tmp_path, done=2, steps=4, batch=2).close()
    assert [path.exists() for path in paths] == [True, False, False, True, False, True, False]
    assert (tmp_path / "grids/mine.png").exists()
