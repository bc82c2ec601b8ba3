"""Profile: the trainer's steps -> what their time goes to, by kind and by operator, and how often a step computes it.

    python -m tests.benchmarks.profile_step OUT [--steps N] [--batch N] [--device cpu|cuda] [--size SIZE] [--compile]

The same step as in `tests.benchmarks.step`, in torch's profiler: OUT/profile.json and OUT/profile.png. On a GPU, times
are of kernels, 20 steps of batch 32 in bf16 at SD v1's size; what they leave of the wall time the GPU idles. On
a CPU, times are of operators without those that they call, one thread. First it prints what one sample's step computes
at SD v1's size, counted: forward once, backward twice that, and what checkpointing computes anew.
"""

import argparse
import re
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tests.benchmarks.machine import describe_machine, write_json
from tests.benchmarks.step_models import SIZES, Encoders, count_work

if TYPE_CHECKING:
    from tests.benchmarks.trainings import Training

SHOWN = 15
# The first pattern that is found in a name counts.
KINDS = {
    "layout and copies": r"nchwtonhwc|nhwctonchw|mem(cpy|set)|copy|aten::cat|catarray|transpose|::(clone|contiguous)$",
    "attention": r"flash|fmha|attention|softmax",
    "optimiser": r"adam|multi_tensor|foreach",
    "between ranks": r"nccl|gloo|reduce_scatter|all_?reduce|all_?gather",
    "normalisation": r"norm",
    "convolutions": r"conv|xmma|implicit|dgrad|wgrad",
    "matrix products": r"gemm|gemv|mm\b|linear|matmul|cutlass|cublas|nvjet",
}
REST = "elementwise, sums, others"


@dataclass(frozen=True)
class Part:
    """One operator or kernel in a step."""

    name: str
    seconds: float
    calls: float

    @property
    def kind(self) -> str:
        return next((kind for kind, pattern in KINDS.items() if re.search(pattern, self.name.lower())), REST)


def profile_steps(training: "Training", steps: int, *, on_gpu: bool) -> tuple[list[Part], float]:
    """Profile steps -> the parts of one, the longest first, and the wall seconds of one, profiled."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    began = time.perf_counter()
    with profile(activities=activities, acc_events=True) as profiler:
        for _ in range(steps):
            training.step()
        if on_gpu:
            torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / steps
    parts = []
    for event in profiler.key_averages():
        if on_gpu == (event.device_type == DeviceType.CUDA):
            own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            parts.append(Part(event.key, own / 1e6 / steps, event.count / steps))
    return sorted(parts, key=lambda part: -part.seconds), seconds


def time_steps(training: "Training", steps: int, *, on_gpu: bool) -> float:
    """Time steps without the profiler, after two that warm up: seconds of one."""
    for _ in range(2):
        training.step()
    began = time.perf_counter()
    for _ in range(steps):
        training.step()
    if on_gpu:
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def by_kind(parts: list[Part]) -> dict[str, float]:
    """Add up the seconds of each kind, the longest first."""
    sums: Counter[str] = Counter()
    for part in parts:
        sums[part.kind] += part.seconds
    return dict(sums.most_common())


def draw_profile(parts: list[Part], seconds: float, title: str, path: Path) -> None:
    """Draw the shares of a step's seconds: by kind, and of the longest parts."""
    kinds = by_kind(parts)
    rest = seconds - sum(kinds.values())
    groups = [*kinds.items(), *([("nothing computed (gaps)", rest)] if rest > 0 else [])]
    longest = [(f"{part.name[:60]}  x{part.calls:.0f}", part.seconds) for part in parts[:SHOWN]]
    figure = Figure(figsize=(11, 8), dpi=100, layout="constrained")
    for axes, bars, color in zip(figure.subplots(2, 1), (groups, longest), ("#2a788e", "#7a9aa5"), strict=True):
        names, values = zip(*reversed(bars), strict=True)
        axes.barh(range(len(names)), [100 * value / seconds for value in values], color=color)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_xlabel("% of a step")
    figure.suptitle(title)
    figure.savefig(path)


def describe_work(size: str) -> list[str]:
    """Tell what one sample's step computes, a line each way of training."""
    lines = []
    for name, settings in (
        ("ours", {}),
        ("checkpointing", {"checkpointing": True}),
        ("stock attention", {"one_token": False}),
    ):
        work = count_work(SIZES[size], **settings)
        forward, backward = sum(work.forward.values()), sum(work.backward.values())
        calls = Counter(work.calls.values())
        lines.append(
            f"{name:15} forward {forward / 1e9:,.1f} GFLOP, backward {backward / 1e9:,.1f} = {backward / forward:.3f} x"
            f"; modules computed {', '.join(f'{times} x: {calls[times]}' for times in sorted(calls))}"
        )
    return lines


def parse_arguments() -> argparse.Namespace:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description="Profile the trainer's step")
    parser.add_argument("out", type=Path, help="folder for profile.json and profile.png")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if on_gpu else "cpu")
    parser.add_argument("--size", choices=SIZES, default="sd-v1" if on_gpu else "small")
    parser.add_argument("--steps", type=int, default=20 if on_gpu else 5)
    parser.add_argument("--batch", type=int, default=32 if on_gpu else 2)
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    from pbe.training.ranks import find_place, joined
    from tests.benchmarks.trainings import open_trainings, write_dataset  # which take DeepSpeed along

    on_gpu, sizes = options.device == "cuda", SIZES[options.size]
    for line in describe_work("sd-v1"):
        print(line, flush=True)
    if not on_gpu:
        torch.set_num_threads(1)
    torch.manual_seed(0)
    machine = describe_machine(options.device)
    settings: dict[str, Any] = {"batch_size": options.batch, "compile": options.compile, "channels_last": on_gpu}
    with tempfile.TemporaryDirectory() as folder, joined(find_place(), timeout_seconds=60):
        write_dataset(Path(folder), sizes)
        encoders = Encoders(SIZES["tiny"], device=options.device, dtype=torch.float32)  # which `ours` does without
        trainings = open_trainings(("ours",), sizes, Path(folder), encoders, device=options.device, **settings)
        training = trainings["ours"]
        seconds = time_steps(training, options.steps, on_gpu=on_gpu)
        parts, profiled_seconds = profile_steps(training, options.steps, on_gpu=on_gpu)
        training.close()
    title = f"{options.size}, batch {options.batch}, {machine['device']}: {seconds:.3g} s a step"
    kinds = by_kind(parts)
    options.out.mkdir(parents=True, exist_ok=True)
    draw_profile(parts, seconds if on_gpu else sum(kinds.values()), title, options.out / "profile.png")
    figures = {"seconds": seconds, "profiled_seconds": profiled_seconds, "busy": sum(kinds.values()), "kinds": kinds}
    rows = [asdict(part) | {"kind": part.kind} for part in parts[:60]]
    write_json(options.out / "profile.json", {"machine": machine, "title": title, **figures, "parts": rows})
    print(f"{title} ({profiled_seconds:.3g} s profiled), of which {figures['busy']:.3g} s computing:")
    for kind, value in kinds.items():
        print(f"  {value / figures['busy']:6.1%}  {kind}")
    for part in parts[:SHOWN]:
        print(f"  {part.seconds / figures['busy']:6.1%}  {part.calls:7.1f} x  {part.name[:90]}")


if __name__ == "__main__":
    main()
