"""The log of a run: what its bar counts."""

import time
from pathlib import Path

from pbe.training.run_folder import METRICS, read_rows
from pbe.training.telemetry import Telemetry


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
