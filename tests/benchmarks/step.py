"""Step: one training step at SD v1's size, on cached latents, against online encoding and stock attention.

    python -m tests.benchmarks.step [--json FILE] [--seconds N] [--rounds N] [--device cpu|cuda] [--size sd-v1|tiny]

A step is forward, backward and optimiser, on random weights and random inputs that lie on the device.
  ours     cached latents and vectors; cross-attention as the broadcast of its one token, query path frozen
  online   the same after two VAE encodings (picture and masked picture) and one of CLIP ViT-L/14, without decoding,
           drawing and copying of pictures, which online training needs besides
  stock    as ours, by diffusers' default attention processors, query path trained
All share their parameters. Times are medians of interleaved rounds in one process. GPU: bfloat16 weights, float32
masters in fused AdamW, as DeepSpeed's bf16 has them; CPU: float32, batch 1, AdamW, or SGD where memory is short.
FLOPs: a sample's forward and backward as counted by torch's FlopCounterMode, 2 a multiply-add, without recomputation
and optimiser; utilisation = FLOPs x images/s / the device's dense bfloat16 peak. Peak memory counts the idle encoders
(0.7 GiB) in. Without time left, cases are skipped.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.machine import describe_machine, device_name, free_memory_gib, peak_tflops, write_json
from tests.benchmarks.step_models import (
    SIZES,
    Encoders,
    MasterAdamW,
    Sizes,
    Trained,
    count_flops,
    random_batch,
    random_pictures,
)

GOALS = {"images_per_s": 100.0, "images_per_s_stretch": 150.0, "times_online": 1.6}  # on one H100
ADAMW_GIB = 24.0  # of free memory that a step with AdamW in float32 at full size needs
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
        return (100.0 if self.compiled else 15.0) * len(self.variants)


@dataclass(frozen=True)
class Row:
    """What one variant of a case took."""

    variant: str
    case: Case
    seconds: float | None = None
    fastest: float | None = None
    slowest: float | None = None
    images_per_s: float | None = None
    utilisation: float | None = None
    peak_gib: float | None = None
    note: str = ""


# The most wanted first: what follows is left out when time is short.
GPU_CASES = (
    Case(("ours", "online", "stock"), 32),
    Case(("ours",), 16),
    Case(("ours",), 64),
    Case(("ours", "online"), 32, compiled=True),
    Case(("ours",), 64, compiled=True),
    Case(("ours",), 64, checkpointing=True),
    Case(("ours",), 32, checkpointing=True),
    Case(("ours",), 32, channels_last=False),
    Case(("ours",), 16, compiled=True),
    Case(("stock",), 32, compiled=True),
)
CPU_CASES = (Case(("ours", "online", "stock"), 1, channels_last=False),)


class Bench:
    """Holds the models of all cases."""

    def __init__(self, sizes: Sizes, *, device: str, rounds: int) -> None:
        self.sizes, self.device, self.rounds = sizes, device, rounds
        self.flops = count_flops(sizes)
        self.peak = peak_tflops(device_name(device))
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        adamw = device == "cuda" or sizes.unet != "sd-v1" or free_memory_gib() >= ADAMW_GIB
        self.trained = Trained(sizes, device=device, dtype=dtype)
        self.encoders = Encoders(sizes, device=device, dtype=dtype)
        parameters = self.trained.parameters()
        self.optimiser = MasterAdamW(parameters) if adamw else torch.optim.SGD(parameters, lr=1e-5)
        self.optimiser_name = "AdamW" if adamw else f"SGD: less than {ADAMW_GIB:.0f} GiB were free"

    def measure(self, case: Case) -> list[Row]:
        """Measure the variants of a case in turns; on lack of GPU memory their rows say so."""
        settings = {"compiled": case.compiled, "channels_last": case.channels_last}
        self.trained.set_up(**settings, checkpointing=case.checkpointing)
        self.encoders.set_up(**settings)
        try:
            peaks = {variant: self._warm_up(variant, case) for variant in case.variants}
            seconds = self._time(case)
        except torch.OutOfMemoryError:
            return [Row(variant, case, note="out of memory") for variant in case.variants]
        finally:
            self._drop_gradients()
        return [self._row(variant, case, seconds[variant], peaks[variant]) for variant in case.variants]

    def _row(self, variant: str, case: Case, seconds: list[float], peak_gib: float | None) -> Row:
        median = statistics.median(seconds)
        rate = case.batch / median
        utilisation = self.flops[variant] * rate / (self.peak * 1e12) if self.peak else None
        return Row(variant, case, median, min(seconds), max(seconds), rate, utilisation, peak_gib)

    def _warm_up(self, variant: str, case: Case) -> float | None:
        step = self._step(variant, case)
        if self.device == "cpu":
            step()
            return None
        step()
        torch.cuda.reset_peak_memory_stats()
        for _ in range(WARM_UPS):
            step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() / 2**30

    def _time(self, case: Case) -> dict[str, list[float]]:
        steps = {variant: self._step(variant, case) for variant in case.variants}
        seconds: dict[str, list[float]] = {variant: [] for variant in case.variants}
        repeats = STEPS_A_ROUND if self.device == "cuda" else 1
        for _ in range(self.rounds):
            for variant, step in steps.items():
                self._synchronise()
                began = time.perf_counter()
                for _ in range(repeats):
                    step()
                self._synchronise()
                seconds[variant].append((time.perf_counter() - began) / repeats)
        return seconds

    def _step(self, variant: str, case: Case) -> Callable[[], None]:
        batch = random_batch(self.sizes, case.batch, device=self.device, seed=0)
        pictures = random_pictures(self.sizes, case.batch, device=self.device, seed=0) if variant == "online" else None

        def step() -> None:
            made = self.encoders.encode(batch, pictures) if pictures else batch
            self.trained.backward(made, stock=variant == "stock")
            self.optimiser.step()
            self._drop_gradients()

        return step

    def _drop_gradients(self) -> None:
        for parameter in self.trained.parameters():
            parameter.grad = None

    def _synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


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
        "precision": "bfloat16, float32 masters" if bench.device == "cuda" else "float32",
        "optimiser": bench.optimiser_name,
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
    print(f"{row.variant:7}{settings}  {row.note or _figures(row)}", flush=True)


def _figures(row: Row) -> str:
    figures = f"{row.seconds:.3f} s ({row.fastest:.3f} to {row.slowest:.3f}) = {row.images_per_s:.3g} images/s"
    figures += f", utilisation {row.utilisation:.1%}" if row.utilisation is not None else ""
    return figures + (f", peak {row.peak_gib:.1f} GiB" if row.peak_gib is not None else "")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure one training step")
    parser.add_argument("--size", choices=SIZES, default="sd-v1")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, help="default: 3 on the CPU, 5 on a GPU")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case that would end later")
    parser.add_argument("--json", type=Path, help="write the figures here, after every case")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    end = time.monotonic() + options.seconds
    on_gpu = options.device == "cuda"
    torch.backends.cudnn.benchmark = on_gpu
    torch.manual_seed(0)
    machine = describe_machine(options.device)
    bench = Bench(SIZES[options.size], device=options.device, rounds=options.rounds or (5 if on_gpu else 3))
    print(f"{machine['device']}, {machine['threads']} threads, load {machine['load_average']:.2f}; {options.size}")
    print("TFLOP a sample:", ", ".join(f"{name} {count / 1e12:.3g}" for name, count in bench.flops.items()))
    print("optimiser:", bench.optimiser_name, flush=True)
    rows: list[Row] = []
    for case in GPU_CASES if on_gpu else CPU_CASES:
        if time.monotonic() + case.seconds_needed > end:
            measured = [Row(variant, case, note="skipped: no time left") for variant in case.variants]
        else:
            measured = bench.measure(case)
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
        for row in measured:
            print_row(row)
        rows += measured
        if options.json:
            write_json(options.json, report(bench, rows, machine=machine, size=options.size))
    for ratio in compare(rows):
        print(f"ours against {ratio['against']}, batch {ratio['batch']}, compiled {ratio['compiled']}: ", end="")
        print(f"{ratio['times']:.2f} x as fast")


if __name__ == "__main__":
    main()
