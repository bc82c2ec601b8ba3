"""Step: the trainer's own step at SD v1's size, on cached latents, against online encoding and stock attention.

    python -m tests.benchmarks.step [--json FILE] [--seconds N] [--rounds N] [--device cpu|cuda] [--size SIZE]

Measured is `one_step` of the trainer: its feed on a generated dataset, its engine with DeepSpeed and fused AdamW, its
losses and its wait for data, set up as `prepare_step` does for every training; weights are random.
  ours     cached latents and vectors; cross-attention as the broadcast of its one token, query path frozen
  online   the same after two VAE encodings (picture and masked picture) and one of CLIP ViT-L/14, without decoding,
           drawing and copying of pictures, which online training needs besides
  live exemplars  the same after CLIP alone
  stock    as ours, by diffusers' default attention processors, query path trained
All but `stock` share an engine. Times are medians of interleaved rounds in one process. GPU: bf16, ZeRO 2, as the
preset `paper`; CPU: fp32, batch 1. FLOPs: a sample's forward and backward as counted by torch's FlopCounterMode, 2 a
multiply-add, without recomputation and optimiser; utilisation = FLOPs x images/s / the device's dense bfloat16 peak.
Peak memory counts the idle encoders (0.7 GiB) in. Without time left, cases are skipped.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pbe.training.ranks import find_place, joined
from tests.benchmarks.machine import (
    SKIPPED,
    describe_machine,
    device_name,
    free_memory_gib,
    peak_tflops,
    write_json,
)
from tests.benchmarks.step_models import SIZES, Encoders, Sizes, count_flops
from tests.benchmarks.trainings import Training, open_trainings, write_dataset

GOALS = {"images_per_s": 100.0, "images_per_s_stretch": 150.0, "times_online": 1.8}  # on one H100
CPU_GIB = 24.0  # of free memory that a step in float32 at full size needs
WARM_UPS = 2
STEPS_A_ROUND = 5  # on a GPU, between two synchronisations


@dataclass(frozen=True)
class Case:
    """How a group of variants is measured together, in turns."""

    variants: tuple[str, ...]
    batch: int
    compiled: bool = False
    channels_last: bool = True
    checkpointing: bool = False

    @property
    def seconds_needed(self) -> float:
        """A generous guess, compilation included: a case is begun only if so much time is left."""
        return (100.0 if self.compiled else 25.0) * len(self.variants)


@dataclass(frozen=True)
class Row:
    """What one variant of a case took."""

    variant: str
    case: Case
    seconds: float | None = None
    fastest: float | None = None
    slowest: float | None = None
    data_wait: float | None = None
    images_per_s: float | None = None
    utilisation: float | None = None
    peak_gib: float | None = None
    note: str = ""


# The most wanted first: what follows is left out when time is short.
GPU_CASES = (
    Case(("ours", "online", "live exemplars", "stock"), 32),
    Case(("ours",), 64),
    Case(("ours", "online"), 32, compiled=True),
    Case(("ours",), 16),
    Case(("ours",), 64, compiled=True),
    Case(("ours",), 64, checkpointing=True),
    Case(("ours",), 32, checkpointing=True),
    Case(("ours",), 32, channels_last=False),
    Case(("ours",), 16, compiled=True),
    Case(("stock",), 32, compiled=True),
)
CPU_CASES = (Case(("ours", "online", "live exemplars", "stock"), 1, channels_last=False),)


class Bench:
    """Measures cases, each with engines of its own.

    Args:
        data: the dataset that is trained on.
    """

    def __init__(self, sizes: Sizes, data: Path, *, device: str, rounds: int) -> None:
        self.sizes, self.data, self.device, self.rounds = sizes, data, device, rounds
        self.flops = count_flops(sizes)
        self.peak = peak_tflops(device_name(device))
        self.encoders = Encoders(sizes, device=device, dtype=torch.bfloat16 if device == "cuda" else torch.float32)

    def measure(self, case: Case) -> list[Row]:
        """Measure the variants of a case in turns; on lack of GPU memory their rows say so."""
        try:
            with self._trainings(case) as trainings:
                peaks = {variant: self._warm_up(training) for variant, training in trainings.items()}
                seconds, waits = self._time(trainings)
        except torch.OutOfMemoryError:
            return [Row(variant, case, note="out of memory") for variant in case.variants]
        return [self._row(variant, case, seconds[variant], waits[variant], peaks[variant]) for variant in case.variants]

    @contextmanager
    def _trainings(self, case: Case) -> Iterator[dict[str, Training]]:
        torch.compiler.reset()  # else a second batch size would be compiled for shapes of any size
        self.encoders.set_up(compiled=case.compiled, channels_last=case.channels_last)
        trainings = open_trainings(
            case.variants,
            self.sizes,
            self.data,
            self.encoders,
            device=self.device,
            batch_size=case.batch,
            compile=case.compiled,
            channels_last=case.channels_last,
            checkpointing=case.checkpointing,
        )
        try:
            yield trainings
        finally:
            for training in trainings.values():
                training.close()
            trainings.clear()

    def _row(self, variant: str, case: Case, seconds: list[float], waits: list[float], peak_gib: float | None) -> Row:
        median = statistics.median(seconds)
        rate = case.batch / median
        utilisation = self.flops[variant] * rate / (self.peak * 1e12) if self.peak else None
        wait = statistics.mean(waits)
        return Row(variant, case, median, min(seconds), max(seconds), wait, rate, utilisation, peak_gib)

    def _warm_up(self, training: Training) -> float | None:
        training.step()
        if self.device == "cpu":
            return None
        torch.cuda.reset_peak_memory_stats()
        for _ in range(WARM_UPS):
            training.step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() / 2**30

    def _time(self, trainings: dict[str, Training]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Step in turns -> by variant, seconds of a step in each round, and the shares of each step's wait for data."""
        seconds: dict[str, list[float]] = {variant: [] for variant in trainings}
        waits: dict[str, list[float]] = {variant: [] for variant in trainings}
        repeats = STEPS_A_ROUND if self.device == "cuda" else 1
        for _ in range(self.rounds):
            for variant, training in trainings.items():
                began = self._now()
                waits[variant] += [training.step()["data_wait"] for _ in range(repeats)]
                seconds[variant].append((self._now() - began) / repeats)
        return seconds, waits

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def compare(rows: list[Row]) -> list[dict[str, Any]]:
    """Set ours against the others of the same case: > 1 where ours is faster."""
    ratios = []
    for row in rows:
        own = next((own for own in rows if own.variant == "ours" and own.case == row.case), None)
        if row.variant != "ours" and own and row.seconds and own.seconds:
            ratios.append({"against": row.variant, **_settings(row.case), "times": row.seconds / own.seconds})
    return ratios


def report(bench: Bench, rows: list[Row], *, machine: dict[str, Any], size: str) -> dict[str, Any]:
    return {
        "machine": machine,
        "size": size,
        "precision": "bf16, ZeRO 2, fused AdamW" if bench.device == "cuda" else "fp32, ZeRO 1, fused AdamW",
        "flops_a_sample": bench.flops,
        "peak_tflops": bench.peak,
        "goals_on_one_h100": GOALS,
        "rows": [{**{k: v for k, v in asdict(row).items() if k != "case"}, **_settings(row.case)} for row in rows],
        "ratios": compare(rows),
    }


def _settings(case: Case) -> dict[str, Any]:
    return {name: value for name, value in asdict(case).items() if name != "variants"}


def print_row(row: Row) -> None:
    settings = f"batch {row.case.batch:>2} {'compiled' if row.case.compiled else 'eager':8}"
    settings += " channels-last" if row.case.channels_last else " contiguous   "
    settings += " checkpointing" if row.case.checkpointing else ""
    print(f"{row.variant:15}{settings}  {row.note or _figures(row)}", flush=True)


def _figures(row: Row) -> str:
    figures = f"{row.seconds:.3f} s ({row.fastest:.3f} to {row.slowest:.3f}) = {row.images_per_s:.3g} images/s"
    figures += f", {row.data_wait:.1%} of it waiting for data"
    figures += f", utilisation {row.utilisation:.1%}" if row.utilisation is not None else ""
    return figures + (f", peak {row.peak_gib:.1f} GiB" if row.peak_gib is not None else "")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure one training step")
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--size", choices=SIZES, default="sd-v1" if on_gpu else "small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if on_gpu else "cpu")
    parser.add_argument("--rounds", type=int, help="default: 3 on the CPU, 5 on a GPU")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case that would end later")
    parser.add_argument("--json", type=Path, help="write the figures here, after every case")
    return parser.parse_args()


def measure_all(bench: Bench, cases: tuple[Case, ...], *, end: float, write: Callable[[list[Row]], None]) -> list[Row]:
    """Measure case after case until the time is over; what is left is skipped."""
    rows: list[Row] = []
    for case in cases:
        if time.monotonic() + case.seconds_needed > end:
            measured = [Row(variant, case, note="skipped: no time left") for variant in case.variants]
        else:
            measured = bench.measure(case)
        gc.collect()
        if bench.device == "cuda":
            torch.cuda.empty_cache()
        for row in measured:
            print_row(row)
        rows += measured
        write(rows)
    return rows


def main() -> None:
    options = parse_arguments()
    end = time.monotonic() + options.seconds
    on_gpu = options.device == "cuda"
    if not on_gpu and options.size == "sd-v1" and free_memory_gib() < CPU_GIB:
        print(f"skipped: less than {CPU_GIB:.0f} GiB of memory are free; give --size small")
        sys.exit(SKIPPED)
    torch.manual_seed(0)
    machine = describe_machine(options.device)
    with tempfile.TemporaryDirectory() as folder, joined(find_place(), timeout_seconds=60):
        write_dataset(Path(folder), SIZES[options.size])
        rounds = options.rounds or (5 if on_gpu else 3)
        bench = Bench(SIZES[options.size], Path(folder), device=options.device, rounds=rounds)
        print(f"{machine['device']}, {machine['threads']} threads, load {machine['load_average']:.2f}; {options.size}")
        print("TFLOP a sample:", ", ".join(f"{name} {count / 1e12:.3g}" for name, count in bench.flops.items()))

        def write(rows: list[Row]) -> None:
            if options.json:
                write_json(options.json, report(bench, rows, machine=machine, size=options.size))

        rows = measure_all(bench, GPU_CASES if on_gpu else CPU_CASES, end=end, write=write)
    for ratio in compare(rows):
        print(f"ours against {ratio['against']}, batch {ratio['batch']}, compiled {ratio['compiled']}: ", end="")
        print(f"{ratio['times']:.2f} x as fast")


if __name__ == "__main__":
    main()
