"""Sampling: our loop against diffusers' PaintByExamplePipeline, per call of the UNet, at SD v1's size.

    python -m tests.benchmarks.sampling [--json FILE] [--seconds N] [--rounds N] [--device cpu|cuda] [--size sd-v1|tiny]

Same random weights (shared in memory), source, exemplar, seed, PNDM and guidance 5, so that a call takes twice the
batch. Both loops run at once, one step in turns, so that what disturbs the machine for longer than a step meets both;
who goes first changes from round to round. Timed: a step, encoders and decoder left out; a ratio is one pair's of
steps that follow each other, a round's figure the median of its pairs. Before that the latents of both are compared.
images/s = batch / (51 calls x seconds a call). GPU: float16, weights of both channels-last, eager and compiled.
"""

import argparse
import dataclasses
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import diffusers
import diffusers.pipelines.deprecated.paint_by_example as deprecated
import numpy as np
import torch
import transformers
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from pbe.editing.as_diffusers import prepare_as_diffusers
from pbe.editing.editor import Editor, Task, denoise
from pbe.model.guidance import shared_before_context
from pbe.model.unet import compile_unet, input_channels
from pbe.weights.export import PNDM_CONFIG
from pbe.weights.parts import Parts
from tests.benchmarks.machine import describe_machine, write_json
from tests.benchmarks.step_models import SIZES, Sizes, Trained, build_vae

CALLS_A_PICTURE = 51
GUIDANCE, SEED = 5.0, 0
CPU_FLOOR = 1.03
OnStep = Callable[[], object]
Run = Callable[[OnStep], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """What is measured together."""

    batch: int
    compiled: bool = False


@dataclass(frozen=True)
class Row:
    """What a case took: seconds a call of the UNet, medians over rounds; ratios > 1: ours is faster."""

    batch: int
    compiled: bool
    ours: float
    diffusers: float
    ratio: float
    lowest: float
    """Of the rounds, as `highest`."""
    highest: float
    ours_images_per_s: float
    diffusers_images_per_s: float
    largest_difference: float
    """Of the latents."""


class Bench:
    """Both systems over the same weights."""

    def __init__(self, sizes: Sizes, *, device: str, steps: int) -> None:
        self.sizes, self.device, self.steps = sizes, device, steps
        dtype = torch.float16 if device == "cuda" else torch.float32
        trained = Trained(sizes, device=device, dtype=dtype)
        cross_dim = trained.conditioner.config.cross_dim
        config = transformers.CLIPVisionConfig(
            hidden_size=sizes.clip_width,
            num_hidden_layers=5 * sizes.mapper_blocks - 1,
            num_attention_heads=sizes.clip_heads,
            intermediate_size=sizes.clip_width,  # of a tower that is not timed
            image_size=sizes.clip_px,
            patch_size=sizes.clip_patch,
            projection_dim=cross_dim,
        )
        encoder = deprecated.PaintByExampleImageEncoder(config, cross_dim).to(device, dtype).eval()
        trained.conditioner.load_state_dict(
            {name: value for name, value in encoder.state_dict().items() if not name.startswith("model.")}
        )
        vae = build_vae(sizes).to(device, dtype)
        self.unets = (trained.ours.eval().requires_grad_(False), trained.stock.eval().requires_grad_(False))
        if device == "cuda":
            self.unets[0].to(memory_format=torch.channels_last)  # the weights are both's
        self.pipeline = deprecated.PaintByExamplePipeline(
            vae=vae,
            image_encoder=encoder,
            unet=self.unets[1],
            scheduler=diffusers.PNDMScheduler.from_config(PNDM_CONFIG),
            safety_checker=None,
            feature_extractor=transformers.CLIPImageProcessor(
                size={"shortest_edge": sizes.clip_px},
                crop_size={"height": sizes.clip_px, "width": sizes.clip_px},
            ),
        )
        self.pipeline.set_progress_bar_config(disable=True)
        model = _Model(self.unets[0], trained.conditioner.eval())
        self.editor = Editor(Parts(model, vae, encoder.model, "random weights", {}), sizes.picture)  # type: ignore[arg-type]
        rng = np.random.default_rng(SEED)
        self.source = rng.integers(0, 256, (sizes.picture, sizes.picture, 3), dtype=np.uint8)
        self.exemplar = rng.integers(0, 256, (sizes.clip_px, sizes.clip_px, 3), dtype=np.uint8)
        self.mask = np.zeros((sizes.picture, sizes.picture), bool)
        self.mask[sizes.picture // 4 : sizes.picture // 2, sizes.picture // 4 : -sizes.picture // 4] = True

    def measure(self, case: Case, *, rounds: int) -> Row:
        """Measure one case, both systems in turns."""
        torch.compiler.reset()
        for unet in self.unets:
            unet._compiled_call_impl = None
            if case.compiled:
                compile_unet(unet)
        runs: list[Run] = [partial(self.run_ours, case), partial(self.run_diffusers, case)]
        ours, theirs = (run(lambda: None) for run in runs)  # warms up, too
        timed = [in_turns(runs, first=number % 2, device=self.device) for number in range(rounds)]
        ratios = [[b / a for a, b in zip(*steps, strict=True)] for steps in timed]
        by_round = [statistics.median(pairs) for pairs in ratios]
        own, other = (statistics.median(chain.from_iterable(loop)) for loop in zip(*timed, strict=True))
        rates = [case.batch / (CALLS_A_PICTURE * each) for each in (own, other)]
        difference = float((ours.float() - theirs.float()).abs().max())
        return Row(
            case.batch,
            case.compiled,
            own,
            other,
            statistics.median(chain.from_iterable(ratios)),
            min(by_round),
            max(by_round),
            *rates,
            largest_difference=difference,
        )

    def run_ours(self, case: Case, on_step: OnStep) -> torch.Tensor:
        """Sample; gives latents."""
        task: Task = prepare_as_diffusers(self.editor, self.source, self.mask, self.exemplar, seed=SEED, n=case.batch)
        task = dataclasses.replace(task, as_diffusers=False)
        calls = count()

        def after_the_first(clean: torch.Tensor) -> None:
            if next(calls):  # diffusers' pipeline does not tell of the first call of PNDM's two for one step
                on_step()

        return denoise(
            self.editor,
            [(task, row) for row in range(len(task.noise))],
            guidance=GUIDANCE,
            steps=self.steps,
            scheduler="pndm",
            on_step=after_the_first,
        )

    def run_diffusers(self, case: Case, on_step: OnStep) -> torch.Tensor:
        """Likewise."""
        latents: torch.Tensor = self.pipeline(
            example_image=Image.fromarray(self.exemplar),
            image=Image.fromarray(self.source),
            mask_image=Image.fromarray(self.mask),
            num_inference_steps=self.steps,
            guidance_scale=GUIDANCE,
            num_images_per_prompt=case.batch,
            generator=torch.Generator("cpu").manual_seed(SEED),
            output_type="latent",
            callback=lambda *_: on_step(),
        ).images
        return latents


@dataclass
class _Model:
    """UNet and conditioner as editing takes them."""

    unet: Any
    conditioner: Any

    @property
    def config(self) -> Any:
        return self

    bottleneck = True
    prediction = "epsilon"


def in_turns(runs: Sequence[Run], *, first: int, device: str) -> list[list[float]]:
    """Run two loops at once, one step each in turns; gives the seconds of their steps, each loop's first left out.

    Args:
        first: number of the loop that begins.
    """
    turn = threading.Condition()
    whose, over = first, False
    seconds: list[list[float]] = [[], []]

    def run(me: int) -> None:
        nonlocal whose, over
        began = 0.0

        def wait() -> None:
            nonlocal began
            turn.wait_for(lambda: whose == me or over)
            began = time.perf_counter()

        def end_step() -> None:
            nonlocal whose
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[me].append(time.perf_counter() - began)
            with turn:
                whose = 1 - me
                turn.notify()
                wait()

        try:
            with turn:
                wait()
            runs[me](end_step)
        finally:
            with turn:
                over = True  # both have ended their last step, or this loop has failed
                turn.notify()

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(run, me) for me in (0, 1)]:
            each.result()
    return [each[1:] for each in seconds]  # a first step holds the encoders


def flops_ratio(sizes: Sizes) -> float:
    """Count diffusers' / our floating-point operations of a guided call of the UNet, on the meta device."""
    trained = Trained(sizes, device="meta", dtype=torch.float32)
    c = trained.ours.config.out_channels
    inputs = {
        "sample": torch.empty(2, input_channels(c), sizes.latent, sizes.latent, device="meta"),
        "timestep": torch.empty((), device="meta"),
        "encoder_hidden_states": torch.empty(2, 1, trained.conditioner.config.cross_dim, device="meta"),
    }
    counts = []
    for unet, sharing in ((trained.ours, shared_before_context(trained.ours)), (trained.stock, nullcontext())):
        with torch.inference_mode(), sharing, FlopCounterMode(display=False) as counter:
            unet(**inputs)
        counts.append(counter.get_total_flops())
    return float(counts[1] / counts[0])


def told(row: Row) -> str:
    settings = f"batch {row.batch:>2} {'compiled' if row.compiled else 'eager':8}"
    ours = f"ours {row.ours:.3f} s a call ({row.ours_images_per_s:.3g} images/s)"
    theirs = f"diffusers {row.diffusers:.3f} s ({row.diffusers_images_per_s:.3g} images/s)"
    ratio = f"{row.ratio:.3f} x as fast ({row.lowest:.3f} to {row.highest:.3f})"
    return f"{settings}  {ours}, {theirs}: {ratio}; latents differ by {row.largest_difference:.1e}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the sampling loop against diffusers' pipeline")
    parser.add_argument("--size", choices=SIZES, default="sd-v1")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, help="of a run; default: 8 on the CPU, 20 on a GPU")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case later")
    parser.add_argument("--json", type=Path, help="write the figures here, after every case")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    torch.manual_seed(0)
    on_gpu = options.device == "cuda"
    machine = describe_machine(options.device)
    print(f"{machine['device']}, {machine['threads']} threads, load {machine['load_average']:.2f}; {options.size}")
    print(f"by FLOPs a call is {flops_ratio(SIZES[options.size]):.3f} x as fast")
    bench = Bench(SIZES[options.size], device=options.device, steps=options.steps or (20 if on_gpu else 8))
    batches = (1, 4, 16) if on_gpu else (1,)
    rows: list[Row] = []
    for case in [Case(b, c) for c in ((False, True) if on_gpu else (False,)) for b in batches]:
        if time.monotonic() > end:
            print(f"batch {case.batch}, compiled {case.compiled}: skipped, no time left")
            continue
        row = bench.measure(case, rounds=options.rounds)
        rows.append(row)
        print(told(row), flush=True)
        if options.json:
            content = {"machine": machine, "size": options.size, "rows": [dataclasses.asdict(row) for row in rows]}
            write_json(options.json, content)
    if not on_gpu and rows and rows[0].ratio < CPU_FLOOR:
        print(f"below the floor of {CPU_FLOOR} x")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
