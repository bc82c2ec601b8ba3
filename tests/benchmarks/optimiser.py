"""Optimiser: the trainer's step with --offload, its AdamW fused and as it was before, in turns, on one CPU thread.

    python -m tests.benchmarks.optimiser [--rounds N]

Both engines (bf16, ZeRO 2, optimiser on the CPU) begin with the same weights of a middle-sized UNet at random, and get
gradients of the same batches. Timed by CPU time, which other work on the machine disturbs less: the optimiser's own
step, and all that the engine does once the gradients are there. A ratio is one pair's of steps that follow each other.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from pbe.model.paint_by_example import PaintByExample, model_config
from pbe.model.unet import UNetSize
from pbe.training.config import TrainConfig
from pbe.training.engine import Engine
from pbe.training.ranks import Ranks, find_place, joined
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.step_models import SIZES, random_batch

SIZE = UNetSize(widths=(96, 192, 384, 384), cross_dim=256)
CONFIG = TrainConfig(dtype="bf16", zero_stage=2, offload=True, batch_size=1, lanes=1, clip_norm=0.0, lr=1e-5)
INPUTS = replace(SIZES["tiny"], latent=16)


def open_engine(model: PaintByExample, ranks: Ranks, seconds: list[float], *, fused: bool) -> Engine:
    """Open an engine whose optimiser notes the CPU time of each of its steps."""
    engine = Engine(copy.deepcopy(model), CONFIG, ranks, accumulation=1)
    if not fused:
        for group in engine.optimizer.param_groups:
            group["fused"] = None
    update: Callable[[], Any] = engine.optimizer.step

    def step(*_: Any, **__: Any) -> None:
        began = time.process_time()
        update()
        seconds.append(time.process_time() - began)

    engine.optimizer.step = step  # type: ignore[method-assign]
    return engine


def largest_difference(steps: int) -> float:
    """Compare the weights that both optimisers make of the same gradients."""
    start = torch.randn(1 << 20) / 100
    weights = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    optimisers = [
        torch.optim.AdamW([weight], lr=CONFIG.lr, weight_decay=CONFIG.weight_decay, fused=fused)
        for weight, fused in zip(weights, (False, True), strict=True)
    ]
    for _ in range(steps):
        gradient = torch.randn_like(start) / 1000
        for weight, optimiser in zip(weights, optimisers, strict=True):
            weight.grad = gradient.clone()
            optimiser.step()
    return float((weights[0] - weights[1]).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the optimiser with --offload")
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = model_config(SIZE, latent_channels=4, latent_size=16, exemplar_width=INPUTS.clip_width, blocks=1)
    model = PaintByExample(size).train()
    own: dict[str, list[float]] = {"before": [], "fused": []}
    whole: dict[str, list[float]] = {"before": [], "fused": []}
    with joined(find_place(), timeout_seconds=60):
        ranks = find_place()
        engines = {name: open_engine(model, ranks, own[name], fused=name == "fused") for name in own}
        for number in range(rounds + 1):
            batch = random_batch(INPUTS, 1, device="cpu", seed=number)
            for name, engine in engines.items():
                engine.backward(engine.losses(batch).per_sample.mean(), last=True)
                began = time.process_time()
                engine.step(lr=CONFIG.lr, allowed=True)
                whole[name].append(time.process_time() - began)
    machine = describe_machine("cpu")
    print(
        f"{machine['device']}, load {machine['load_average']:.2f}; {engines['fused'].live_count:,} trained parameters"
    )
    for what, seconds in (("AdamW", own), ("the engine's step", whole)):
        pairs = list(zip(seconds["before"][1:], seconds["fused"][1:], strict=True))  # the first one makes the state
        ratios = sorted(old / new for old, new in pairs)
        old, new = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(
            f"{what}: {old:.3f} CPU-s before, {new:.3f} fused: {statistics.median(ratios):.2f} x as fast "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    print(f"weights after 20 steps on equal gradients: largest difference {largest_difference(20):.1e}")


if __name__ == "__main__":
    main()
