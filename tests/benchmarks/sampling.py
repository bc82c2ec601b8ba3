"""Sampling: our loop against diffusers' PaintByExamplePipeline, per call of the UNet, at SD v1's size.

    python -m tests.benchmarks.sampling [--json FILE] [--seconds N] [--rounds N] [--device cpu|cuda] [--size sd-v1|tiny]

Same random weights (shared in memory), source, exemplar, seed, PNDM and guidance 5, so that a call takes twice the
batch. In turns in one process, the order changing from round to round. Timed: the loop, from the end of one step to
the end of the next, encoders and decoder left out; a round's figure is the median of its steps, a ratio one round's.
Before that the latents of both are compared. images/s = batch / (51 calls x seconds a call). GPU: float16, weights of
both channels-last, eager and compiled.
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import diffusers.pipelines.deprecated.paint_by_example as deprecated
import numpy as np
import torch
import transformers
from PIL import Image

from pbe.compat import prepare_as_diffusers
from pbe.editing import Editor, Task, denoise, slots_of
from pbe.export import PNDM_CONFIG
from pbe.parts import Parts
from pbe.unet import compile_unet
from tests.benchmarks.machine import describe_machine, write_json
from tests.benchmarks.step_models import SIZES, Sizes, Trained, build_vae

CALLS_A_PICTURE = 51
GUIDANCE, SEED = 5.0, 0
CPU_FLOOR = 1.03


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
        runs: list[Callable[[Case], tuple[torch.Tensor, list[float]]]] = [self.run_ours, self.run_diffusers]
        ours, theirs = (run(case)[0] for run in runs)  # warms up, too
        seconds: list[list[float]] = [[], []]
        for number in range(rounds):
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                seconds[which].append(statistics.median(runs[which](case)[1]))
        ratios = [b / a for a, b in zip(*seconds, strict=True)]
        own, other = map(statistics.median, seconds)
        rates = [case.batch / (CALLS_A_PICTURE * each) for each in (own, other)]
        difference = float((ours.float() - theirs.float()).abs().max())
        return Row(
            case.batch,
            case.compiled,
            own,
            other,
            statistics.median(ratios),
            min(ratios),
            max(ratios),
            *rates,
            largest_difference=difference,
        )

    def run_ours(self, case: Case) -> tuple[torch.Tensor, list[float]]:
        """Sample; gives latents and the seconds of the steps."""
        clock = _Clock(self.device)
        task: Task = prepare_as_diffusers(self.editor, self.source, self.mask, self.exemplar, seed=SEED, n=case.batch)
        task = dataclasses.replace(task, stock_bits=False)
        latents = denoise(
            self.editor, slots_of(task), guidance=GUIDANCE, steps=self.steps, scheduler="pndm", on_step=clock.tick
        )
        return latents, clock.steps

    def run_diffusers(self, case: Case) -> tuple[torch.Tensor, list[float]]:
        """Likewise."""
        clock = _Clock(self.device)
        latents = self.pipeline(
            example_image=Image.fromarray(self.exemplar),
            image=Image.fromarray(self.source),
            mask_image=Image.fromarray(self.mask),
            num_inference_steps=self.steps,
            guidance_scale=GUIDANCE,
            num_images_per_prompt=case.batch,
            generator=torch.Generator("cpu").manual_seed(SEED),
            output_type="latent",
            callback=lambda *_: clock.tick(),
        ).images
        return latents, clock.steps


@dataclass
class _Model:
    """UNet and conditioner as editing takes them."""

    unet: Any
    conditioner: Any

    @property
    def config(self) -> Any:
        return self

    bottleneck = True


class _Clock:
    """Takes the time at the end of every step."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        self._ticks: list[float] = []

    def tick(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()
        self._ticks.append(time.perf_counter())

    @property
    def steps(self) -> list[float]:
        return [after - before for before, after in zip(self._ticks, self._ticks[1:], strict=False)]


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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of a run; default: 4 on the CPU, 20 on a GPU")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case later")
    parser.add_argument("--json", type=Path, help="write the figures here, after every case")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    torch.manual_seed(0)
    on_gpu = options.device == "cuda"
    machine = describe_machine(options.device)
    print(f"{machine['device']}, {machine['threads']} threads, load {machine['load_average']:.2f}; {options.size}")
    bench = Bench(SIZES[options.size], device=options.device, steps=options.steps or (20 if on_gpu else 4))
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
