"""What rank processes are forked with; and what they may run besides the trainer's `main`."""

import json
import os
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["DS_ACCELERATOR"] = "cpu"

import deepspeed
import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401  # pulls in the compilers of torch, two CPU-seconds
import matplotlib.pyplot  # noqa: F401
import pyarrow.dataset  # noqa: F401
import pytest  # noqa: F401  # a forked process imports the main module of its parent
import torch
from diffusers import AutoencoderKL  # noqa: F401
from torch.utils.tensorboard import SummaryWriter  # noqa: F401
from transformers import CLIPVisionModel  # noqa: F401

import pbe.training.engine as engine_module
import pbe.training.session as training
import pipeline.pairing.making  # noqa: F401
from pbe.batch import Batch
from pbe.feed.order import Position
from pbe.model.diffusion import Losses
from pbe.model.paint_by_example import PaintByExample, model_config
from pbe.model.unet import UNET_SIZES
from pbe.train import main, parse_train_config
from pbe.training.engine import Engine
from pbe.training.moving_average import MovingAverage
from pbe.training.ranks import find_place, joined
from pipeline.encoders.loading import load_encoders

torch.set_num_threads(1)


def train_all(command_lines: list[list[str]]) -> int:
    """Run several trainings one after the other."""
    with joined(find_place(), timeout_seconds=45):
        return max(main(arguments) for arguments in command_lines)


def train_spoilt(spoilt: str, command_lines: list[list[str]]) -> int:
    """Run trainings whose model gives no number as the loss of samples whose keys begin so."""
    build = training.build

    def spoil(_: torch.nn.Module, inputs: tuple[Batch], losses: Losses) -> Losses:
        bad = torch.tensor([key.startswith(spoilt) for key in inputs[0].keys])
        odd = {name: getattr(losses, name).masked_fill(bad, torch.nan) for name in ("objective", "per_sample")}
        return replace(losses, **odd)

    def build_spoilt(*arguments: Any) -> Any:
        model = build(*arguments)
        model.register_forward_hook(spoil)
        return model

    training.build = build_spoilt
    return train_all(command_lines)


def run_module(module: str, *arguments: str) -> int:
    """Run a command as `python -m` does."""
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def measure_memory(arguments: list[str], out: str) -> int:
    """Count the bytes of the tensors that a rank holds after a backward pass and a step, at every stage."""
    config, ranks = parse_train_config(arguments), find_place()
    measured: dict[str, list[int]] = {}
    kinds: list[tuple[Any, Any]] = [(0, "fp32"), (1, "fp32"), (2, "bf16"), (3, "bf16")]
    with joined(ranks, timeout_seconds=45):
        for stage, dtype in kinds:
            staged = replace(config, zero_stage=stage, dtype=dtype)
            feed = training.Feed(training.feed_config(staged), rank=ranks.rank, world=ranks.world)
            frozen = training.FrozenEncoders(None, None, False)
            model = training.build(staged, feed, frozen, ranks)
            engine = Engine(model, staged, ranks, accumulation=2)
            average = MovingAverage(engine, 0.9)
            batch = next(feed.steps(Position())).batches[0]
            engine.backward(engine.losses(batch).per_sample.mean(), last=False)
            between = _bytes([p.grad for p in model.parameters() if p.grad is not None])
            engine.between()
            engine.backward(engine.losses(batch).per_sample.mean(), last=True)
            measured["parameters"] = [engine.live_count, count(engine.dead)]
            inner = engine.deepspeed.optimizer
            weights = [getattr(p, "ds_tensor", p) for p in model.parameters()]
            held = inner.averaged_gradients.values() if stage else []
            parts = [g for part in held if part is not None for g in (part if isinstance(part, list) else [part])]
            gradient_bytes = max(between, _bytes(parts))
            engine.step(lr=0.1, allowed=True)
            states = [v for s in engine.optimizer.state.values() for v in s.values() if v.ndim]
            masters = engine.masters if stage else []
            measured[f"{stage} {dtype}"] = [
                _bytes(weights),
                gradient_bytes,
                _bytes([*masters, *states]),
                _bytes(average.parts),
            ]
    Path(out, f"rank{ranks.rank}.json").write_text(json.dumps(measured))
    return 0


def measure_sums(arguments: list[str], out: str) -> int:
    """Compare the gradient that the optimiser gets in bf16 with the sum of those of 8 micro-batches, in float64."""
    config, ranks, micros = parse_train_config(arguments), find_place(), 8
    config = replace(config, dtype="bf16", batch_size=2 * micros, clip_norm=0)
    errors: dict[str, float] = {}
    with joined(ranks, timeout_seconds=45):
        for stage, offload in ((1, False), (2, False), (2, True), (3, False)):
            staged = replace(config, zero_stage=stage, offload=offload)
            feed = training.Feed(training.feed_config(staged), accumulation=micros)
            model = training.build(staged, feed, training.FrozenEncoders(None, None, False), ranks)
            engine = Engine(model, staged, ranks, accumulation=micros)
            sums = _sum_gradients(engine)
            got = _gradients_at_update(engine)
            for number, batch in enumerate(next(feed.steps(Position())).batches):
                engine.backward(engine.losses(batch).per_sample.mean(), last=number == micros - 1)
                if number < micros - 1:
                    engine.between()
            engine.step(lr=0.1, allowed=True)
            expected = torch.cat([sums[name] for name in engine.live])
            found = torch.cat(got)[: len(expected)]
            errors[f"{stage}{' offloaded' * offload}"] = float((found - expected).norm() / expected.norm())
    Path(out, "sums.json").write_text(json.dumps(errors))
    return 0


def _sum_gradients(engine: Engine) -> dict[str, torch.Tensor]:
    """Add up what each backward pass gives, by name, as float64, before DeepSpeed does."""
    sums: dict[str, torch.Tensor] = {}

    def add(name: str, gradient: torch.Tensor) -> None:
        sums[name] = sums.get(name, 0) + gradient.detach().double().flatten()

    for name, parameter in engine.live.items():
        parameter.register_hook(partial(add, name))
    return sums


def _gradients_at_update(engine: Engine) -> list[torch.Tensor]:
    """Keep, flat, the gradients that the optimiser is called with."""
    got: list[torch.Tensor] = []
    update: Callable[..., Any] = engine.optimizer.step

    def step(*_: Any, **__: Any) -> None:
        got.extend(p.grad.double().flatten() for group in engine.optimizer.param_groups for p in group["params"])
        update()

    engine.optimizer.step = step  # type: ignore[method-assign]
    return got


def tell_settings(command_lines: list[list[str]], encoders: str, out: str) -> int:
    """Write what computes how after a training was set up, for each, and then after a shard job's encoders were."""
    told: list[dict[str, Any]] = []
    size = model_config(UNET_SIZES["tiny"], latent_channels=4, latent_size=8, exemplar_width=16, blocks=1)
    for arguments in command_lines:
        config = parse_train_config(arguments)
        model = PaintByExample(size)
        [group] = engine_module.prepare_step(model, config).param_groups
        strides: list[tuple[int, ...]] = []
        model.unet.conv_in.register_forward_pre_hook(partial(_note_strides, strides))
        model.unet.conv_in(torch.zeros(1, 9, 8, 8))
        compiled = model.unet._compiled_call_impl is not None
        settings = {"fused": group["fused"], "compiled": compiled, "channels_last": strides[0][1] == 1}
        told.append(_backends() | settings | {"checkpointing": model.unet.is_gradient_checkpointing})
    vae, _ = load_encoders(encoders, encoders, device="cpu", dtype="float32")
    weights = [p for p in vae.model.parameters() if p.ndim == 4]  # type: ignore[attr-defined]
    contiguous = all(p.is_contiguous() for p in weights)
    told.append(_backends() | {"contiguous": contiguous, "deterministic": torch.backends.cudnn.deterministic})
    Path(out).write_text(json.dumps(told))
    return 0


def _note_strides(strides: list[tuple[int, ...]], _: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
    strides.append(inputs[0].stride())


def _backends() -> dict[str, Any]:
    tf32 = {torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32}
    return {"autotuned": torch.backends.cudnn.benchmark, "tf32": sorted(tf32)}


def train_as_before(before: list[list[str]], now: list[list[str]]) -> int:
    """Run trainings whose optimiser is not fused, as in earlier versions, then others"""
    prepare_step = engine_module.prepare_step

    def prepare_unfused(*arguments: Any) -> torch.optim.AdamW:
        optimizer = prepare_step(*arguments)
        optimizer.param_groups[0]["fused"] = None
        return optimizer

    with joined(find_place(), timeout_seconds=45):
        engine_module.prepare_step = prepare_unfused
        code = train_all(before)
        engine_module.prepare_step = prepare_step
        return max(code, train_all(now))


def count(tensors: dict[str, torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _bytes(tensors: list[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
