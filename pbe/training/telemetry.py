"""Telemetry: steps -> OUT/metrics.jsonl (a row each), TensorBoard, a progress line, validation tables, grids,
and once how fast it goes.

At the end: loss.png.
"""

import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from pbe.training.run_folder import METRICS, Row, grid_path, grid_scores_path, keep_looks, keep_rows, read_rows
from pipeline.arrays import Pixels
from pipeline.storage.whole_files import write_aside
from schemas.grid_scores import GridScores
from schemas.validation import VALIDATION_FOLDER, validation_path

PICTURE = "loss.png"
FIRST, TIMED = 3, 8  # steps that a start spends on compiling, autotuning and reading ahead; steps that are timed then


class Pace:
    """How long a step takes, without what happens between two steps.

    Args:
        steps: that this start is to make.
        batch: images of a step.
        clock: gives seconds.
    """

    def __init__(self, *, steps: int, batch: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.left, self.batch, self._clock = steps, batch, clock
        self._made, self._began, self._waited = 0, 0.0, 0.0

    def leave_out(self, seconds: float) -> None:
        """Leave a pause out."""
        self._began += seconds

    def step(self, *, data_wait: float) -> str | None:
        """Count a step -> once there is something to tell, and only once: how fast it goes, and until when.

        Args:
            data_wait: the share of the step that it waited for its batch.
        """
        now = self._clock()
        self._made, self.left = self._made + 1, self.left - 1
        if self._made <= FIRST:
            self._began = now
            return None
        self._waited += data_wait / TIMED
        if self._made != FIRST + TIMED:
            return None
        seconds = (now - self._began) / TIMED
        end = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + seconds * self.left))
        return (
            f"{seconds:.3g} s a step, {self.batch / seconds:,.3g} images/s, {self._waited:.0%} of it waiting for data; "
            f"{self.left:,} steps to go, until about {end}, validations, grids and saves apart"
        )


class Telemetry:
    """The first rank's log of a run."""

    def __init__(self, out: Path, *, done: int, steps: int, batch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second

        self._out = out
        keep_rows(out / METRICS, done)
        keep_looks(out, done)
        self._file = (out / METRICS).open("a")
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=done + 1)
        self.pace = Pace(steps=steps - done, batch=batch)
        self.bar = tqdm(total=steps, initial=done, unit="step", desc="train", mininterval=1.0, dynamic_ncols=True)

    def write(self, row: Row) -> str | None:
        """Log one step; after the first ones, say once how fast it goes."""
        self._file.write(json.dumps({name: plain(value) for name, value in row.items()}) + "\n")
        self._file.flush()
        for name, value in row.items():
            if isinstance(value, int | float) and name != "step" and math.isfinite(value):
                self._board.add_scalar(name, value, row["step"])
        names = ("loss", "validation_loss", "samples_per_second")
        shown: dict[str, object] = {name: f"{row[name]:.4g}" for name in names if name in row}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
        return self.pace.step(data_wait=row.get("data_wait", 0.0))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep what happens between two steps out of the rates and of the estimates of the end."""
        began = time.time()
        try:
            yield
        finally:
            pause = time.time() - began
            if not self.bar.disable:  # as TQDM_DISABLE=1 does: such a bar has no times
                self.bar.start_t += pause
                self.bar.last_print_t += pause
            self.pace.leave_out(pause)

    def sync(self) -> None:
        """Bring the rows to the disk before a checkpoint that relies on them."""
        os.fsync(self._file.fileno())

    def write_validation(self, step: int, table: pa.Table) -> None:
        """Keep a validation's losses by sample: rows of VALIDATION."""
        content = io.BytesIO()
        pq.write_table(table, content)
        (self._out / VALIDATION_FOLDER).mkdir(exist_ok=True)
        write_aside(self._out / validation_path(step), content.getvalue())

    def write_grid(self, grid: Pixels, scores: GridScores) -> None:
        """Keep a sample grid, [h, w, 3] uint8 RGB, and its scores."""
        content, path = io.BytesIO(), grid_path(self._out, scores.step)
        Image.fromarray(grid).save(content, "PNG")
        path.parent.mkdir(exist_ok=True)
        write_aside(grid_scores_path(self._out, scores.step), scores.to_json())
        write_aside(path, content.getvalue())
        self._board.add_image("samples", grid, scores.step, dataformats="HWC")
        for metric, columns in scores.scores.items():
            for name, score in columns.items():
                if score.mean is not None:
                    self._board.add_scalar(f"samples_{metric}/{name.replace(' ', '_')}", score.mean, scores.step)

    def close(self) -> None:
        """Finish the files."""
        self.bar.close()
        self._file.close()
        self._board.close()


def plain(value: Any) -> Any:
    """Turn what JSON has no word for into null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def draw_losses(out: Path) -> None:
    """Draw the run's losses to OUT/loss.png."""
    rows = [row for row in read_rows(out / METRICS) if row["loss"] is not None]
    if not rows:
        return
    steps, losses = [row["step"] for row in rows], np.array([row["loss"] for row in rows])
    window = max(1, len(rows) // 50)
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, color="#c8d6da", linewidth=0.8, label="each step")
    axes.plot(steps[window - 1 :], smooth, color="#2a788e", label=f"mean of {window}")
    for name, color in (("validation_loss", "#d1495b"), ("validation_loss_ema", "#edae49")):
        points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker=".", label=name.replace("_", " "))
    axes.set(xlabel="step", ylabel="loss (mean squared error of the noise)", ylim=(0, None))
    axes.legend()
    figure.savefig(out / PICTURE)
