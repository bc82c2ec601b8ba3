"""Training: config -> a trained model in OUT, step by step, going on from the newest checkpoint."""

import signal
from contextlib import nullcontext
from pathlib import Path

import torch

from pbe.feed.training_feed import Feed
from pbe.model.paint_by_example import PaintByExample
from pbe.training.config import TrainConfig
from pbe.training.frozen import FrozenEncoders, load_frozen
from pbe.training.loop import steps, stop_signals
from pbe.training.ranks import find_place, joined
from pbe.training.run import Run
from pbe.training.run_folder import lock_run
from pbe.training.start import build, count_micro_batches, feed_config, start
from pbe.training.telemetry import draw_losses
from pbe.weights.export import export_model
from pbe.weights.misfits import diffusers_misfits
from pipeline.errors import InputError
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder

EXIT_DONE, EXIT_INTERRUPTED = 0, 130
MODEL = "model"


def train(config: TrainConfig) -> int:
    """Train to the last step, or to a signal; returns the exit code.

    Raises:
        InputError: flags, dataset, weights, checkpoints and world size do not fit each other, or a sample is damaged.
    """
    ranks = find_place()
    if ranks.device.type == "cpu":
        torch.set_num_threads(1 if ranks.world > 1 else torch.get_num_threads())
    accumulation = count_micro_batches(config, world=ranks.world)
    feed = Feed(feed_config(config), rank=ranks.rank, world=ranks.world, accumulation=accumulation)
    frozen = load_frozen(config, read_manifest(Folder(config.data, config.anonymous)), device=str(ranks.device))
    model = build(config, feed, frozen, ranks)
    lock = lock_run(Path(config.out)) if ranks.first else nullcontext()
    with lock, joined(ranks, timeout_seconds=config.collective_timeout):
        with stop_signals() as received:
            _refuse_misfit(config, model, frozen)
            run = start(config, ranks, feed, frozen, model, accumulation)
            if not config.export_only:
                steps(run, received)
            if run.counts.step >= config.steps or config.export_only:
                _refuse_untrained(run)
                export(run)
        if ranks.first and not config.export_only:
            draw_losses(run.out)
        return EXIT_INTERRUPTED if signal.SIGINT in received else EXIT_DONE


def _refuse_untrained(run: Run) -> None:
    counts = run.counts
    if not counts.updates:
        raise InputError(
            f"none of {counts.step} steps changed the weights: {counts.bad} had a loss or gradients that are not "
            f"finite, {counts.overflows} overflowed in fp16. Look at the data, lower --lr, or use --dtype bf16 or fp32"
        )


def export(run: Run) -> None:
    """Write OUT/model; all ranks must take part."""
    config = run.config
    averaged = run.average is not None and config.export_weights != "raw"
    state = run.full_state(averaged=averaged)
    if run.ranks.first:
        layout = export_model(
            run.out / MODEL,
            state,
            run.engine.config,
            vae=run.frozen.vae.model if run.frozen.vae else None,
            tower=run.frozen.clip.model if run.frozen.clip else None,
            weights="ema" if averaged else "raw",
            step=run.counts.step,
            layout=None if config.export_layout == "auto" else config.export_layout,
            encoders=run.frozen.fingerprints,
        )
        run.ranks.say(f"model: {run.out / MODEL} ({layout} layout, {'moving average' if averaged else 'raw'} weights)")
    run.ranks.barrier()


def _refuse_misfit(config: TrainConfig, model: PaintByExample, frozen: FrozenEncoders) -> None:
    """Refuse before the training what would be refused after it, or by DeepSpeed without a next step."""
    from deepspeed.accelerator import get_accelerator

    device = get_accelerator()
    able = {"fp32": True, "bf16": device.is_bf16_supported(), "fp16": device.is_fp16_supported()}
    if not able[config.dtype]:
        raise InputError(f"--dtype {config.dtype}: this device ({device.device_name()}) cannot; give another")
    vae, tower = frozen.vae and frozen.vae.model, frozen.clip and frozen.clip.model
    reasons = diffusers_misfits(model.config, vae=vae, tower=tower)
    if config.export_layout == "diffusers" and reasons:
        raise InputError(f"--export-layout diffusers cannot hold this model: {'; '.join(reasons)}; give auto or pbe")
