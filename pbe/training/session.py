"""Session: a config -> a trained model in OUT, begun anew or taken up from its newest checkpoint."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pbe.feed.dataset import open_dataset, sample_hole_sides
from pbe.feed.training_feed import Feed
from pbe.model.objective import Objective
from pbe.model.paint_by_example import PaintByExample, model_config
from pbe.model.unet import UNET_SIZES
from pbe.training.checkpoint import find_checkpoint, load_checkpoint, make_universal
from pbe.training.checks import count_micro_batches
from pbe.training.config import TrainConfig, feed_config
from pbe.training.engine import Engine
from pbe.training.frozen import FrozenEncoders, in_precision, load_frozen
from pbe.training.loop import steps, stop_signals
from pbe.training.memory import describe_memory
from pbe.training.moving_average import MovingAverage
from pbe.training.ranks import Ranks, find_place, joined
from pbe.training.run import Counts, Run, ValidationSamples, refuse_odd_weights
from pbe.training.run_folder import (
    draws_begun_with,
    find_commit,
    held_run,
    keep_shards,
    list_checkpoints,
    refuse_beginning,
    refuse_changes,
    write_record,
)
from pbe.training.sample_grids import PictureScorer, write_example
from pbe.training.telemetry import draw_losses
from pbe.weights.building import initialise, mapper_blocks_of, model_to_start
from pbe.weights.export import export_model
from pbe.weights.hole_sides import summarise_hole_sides
from pbe.weights.misfits import diffusers_misfits
from pbe.weights.model_files import MODEL, RAW_MODEL
from pbe.weights.own_note import is_own
from pbe.weights.reading import read_weights
from pipeline.errors import InputError
from pipeline.hints import command_line, look_line, short_path
from pipeline.run_log import RunLog
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from pipeline.storage.whole_files import remove_folder
from pipeline.tensors.fitting import refuse_overflow
from pipeline.tensors.names import Tensors

EXIT_DONE, EXIT_INTERRUPTED = 0, 130
EXAMPLE = "example"


def train(config: TrainConfig, *, began: float, score_pictures: PictureScorer) -> int:
    """Train to the last step, or to a signal; return the exit code.

    Args:
        began: `time.monotonic()` when the command did.
        score_pictures: of the sample grids. Metrics lie in pbe.evaluation, which is above this room.

    Raises:
        InputError: flags, dataset, weights, checkpoints and world size do not fit each other, or a sample is damaged.
    """
    ranks = find_place()
    if ranks.device.type == "cpu":
        torch.set_num_threads(1 if ranks.world > 1 else torch.get_num_threads())
    ranks.say(f"opening {config.data}, and the encoders that it was made with")
    accumulation = count_micro_batches(config, world=ranks.world)
    settings = replace(feed_config(config), draws=draws_begun_with(Path(config.out)))
    feed = Feed(settings, rank=ranks.rank, world=ranks.world, accumulation=accumulation)
    frozen = load_frozen(config, read_manifest(Folder(config.data, config.anonymous)), device=str(ranks.device))
    model = build(config, feed, frozen, ranks)
    _refuse_misfit(config, model, frozen)
    held = held_run(Path(config.out)) if ranks.first else nullcontext()
    with held as log, joined(ranks, timeout_seconds=config.collective_timeout):
        with stop_signals() as received:
            run = start(config, ranks, feed, frozen, model, accumulation)
            first_step = run.counts.step
            with _counted(run, log):
                if not config.export_only:
                    steps(run, received, score_pictures)
                if run.counts.step >= config.steps or config.export_only:
                    _refuse_untrained(run)
                    export(run)
        if ranks.first and not config.export_only:
            draw_losses(run.out)
        trained, seconds = run.counts.step - first_step, time.monotonic() - began
        ranks.say(f"{trained:,} steps in {seconds:,.0f} s, start-up included")
        if run.counts.step:
            ranks.say(look_line(config.out))
        if ranks.first and (run.counts.step >= config.steps or config.export_only):
            ranks.say(_edit_line(run))
        return EXIT_INTERRUPTED if signal.SIGINT in received else EXIT_DONE


def build(config: TrainConfig, feed: Feed, frozen: FrozenEncoders, ranks: Ranks) -> PaintByExample:
    """Build the model for the dataset: at random in --model's size, or from weights in theirs."""
    weights = None
    if config.init_from:
        ranks.say(f"reading {config.init_from}")
        weights = read_weights(config.init_from, choice=config.weights)
    dataset = feed.dataset
    size = model_config(
        UNET_SIZES[config.model],
        latent_channels=dataset.channels,
        latent_size=dataset.resolution // dataset.factor,
        exemplar_width=dataset.dimension,
        blocks=config.mapper_blocks or (mapper_blocks_of(weights) if weights else 0) or frozen.mapper_blocks,
        bottleneck=config.bottleneck,
        prediction=config.prediction,
    )
    torch.manual_seed(config.seed)
    model = model_to_start(weights, size) if weights else PaintByExample(size)
    model.objective = Objective(model.config.prediction, config.min_snr, config.hole_weight)
    if weights is None:
        return model
    turned = f"{weights.source} predicts {weights.prediction}; the model learns to predict {config.prediction} instead"
    told = [weights.taken, turned if weights.prediction != config.prediction else ""]
    for line in [*filter(None, told), *initialise(model, weights)]:
        ranks.say(line)
    return model


def start(
    config: TrainConfig,
    ranks: Ranks,
    feed: Feed,
    frozen: FrozenEncoders,
    model: PaintByExample,
    accumulation: int,
) -> Run:
    """Make a run, from the newest checkpoint where there is one; all ranks must take part."""
    out = Path(config.out)
    if list_checkpoints(out):
        ranks.say(f"verifying the newest checkpoint in {out}")
    found = find_checkpoint(out, ranks)
    refuse_beginning(config, resumes=found is not None)
    if found:
        refuse_changes(config, found.state["config"])
        position = feed.resume(found.state["position"])
    # DeepSpeed reads only checkpoints of as many ranks as there are; others go through its universal form.
    other_world = found is not None and config.zero_stage > 0 and found.state["world"] != ranks.world
    universal = make_universal(found, ranks) if found and other_world else None
    ranks.say(f"starting DeepSpeed, ZeRO stage {config.zero_stage}")
    engine = Engine(model, config, ranks, accumulation=accumulation, universal=other_world)
    average = MovingAverage(engine, config.ema) if config.ema else None
    run = Run(config, ranks, feed, frozen, engine, average, _validation_samples(config, ranks))
    if found:
        load_checkpoint(found, engine, average, ranks, universal=universal)
        run.position, run.counts = position, Counts(**found.state["counts"])
    if ranks.first and not config.export_only:
        keep_shards(out, feed.dataset.contents, anew=found is None)
        write_record(out, config, world=ranks.world, dataset=feed.digest, draws=feed.order.draws)
    for line in _describe(run):
        ranks.say(line)
    ranks.say(f"from {found.folder.name}" if found else "from the beginning")
    return run


@contextmanager
def _counted(run: Run, log: RunLog | None) -> Iterator[None]:
    """Note the steps that there are to make, and those that were made."""
    if log is None:
        yield
        return
    config, first = run.config, run.counts.step
    log.counts = {"steps_finished": first, "steps_to_make": max(0, config.steps - first) * (not config.export_only)}
    log.note()
    try:
        yield
    finally:
        log.counts["steps_made"] = run.counts.step - first
    log.how = "complete" if run.counts.step >= config.steps or config.export_only else "interrupted"


def _describe(run: Run) -> list[str]:
    """Describe code, model, memory and epoch, a line each."""
    config, ranks, engine = run.config, run.ranks, run.engine
    epoch = run.feed.describe(run.position.epoch)
    left_out = run.feed.dataset.contents.describe()
    return [
        f"code: {Path(__file__).parent.parent.parent} ({find_commit()}); out: {run.out}",
        f"model: {engine.live_count:,} trained parameters and {engine.dead_count:,} kept as they are; "
        f"{ranks.world} x {ranks.device.type}",
        describe_memory(
            live=engine.live_count,
            dead=engine.dead_count,
            dtype=config.dtype,
            stage=config.zero_stage,
            ranks=ranks.world,
            ema=config.ema > 0,
            offload=config.offload,
        ),
        f"epoch of {epoch.samples:,} samples: {epoch.steps:,} steps, {epoch.dropped} samples dropped at its end",
        *([left_out] if left_out else []),
        *(["--tf32: does nothing on a CPU"] if config.tf32 and ranks.device.type == "cpu" else []),
    ]


def _refuse_untrained(run: Run) -> None:
    counts = run.counts
    if not counts.updates:
        raise InputError(
            f"none of {counts.step} steps changed the weights: {counts.bad} had a loss or gradients that are not "
            f"finite, {counts.overflows} overflowed in fp16. Look at the data, lower --lr, or use --dtype bf16 or fp32"
        )


def export(run: Run) -> None:
    """Write OUT/model, and beside an average OUT/model-raw unless one of them was chosen; all ranks must take part.

    Raw weights of an earlier export go first, so that those that lie beside a model are always those of its step.

    Raises:
        InputError: the weights are not finite, or cannot be written, or an index of the dataset is damaged.
    """
    refuse_odd_weights(run)
    config = run.config
    measured = sample_hole_sides(run.feed.dataset, masks=config.masks) if run.ranks.first else None
    sides = None if measured is None else summarise_hole_sides(measured)
    averaged = run.average is not None and config.export_weights != "raw"
    if run.ranks.first and is_own(run.out / RAW_MODEL):
        remove_folder(run.out / RAW_MODEL)
    _export(run, MODEL, averaged=averaged, hole_sides=sides)
    if averaged and config.export_weights == "auto":
        _export(run, RAW_MODEL, averaged=False, hole_sides=sides)


def _export(run: Run, name: str, *, averaged: bool, hole_sides: Mapping[str, float] | None) -> None:
    """Write the weights, or their average, as a model; all ranks must take part."""
    config, out = run.config, run.out / name
    run.ranks.say(f"writing {out}")
    state: Tensors = run.full_state(averaged=averaged)
    if run.ranks.first:
        vae, tower = run.frozen.vae and run.frozen.vae.model, run.frozen.clip and run.frozen.clip.model
        if config.export_dtype == "fp16":
            state, vae, tower = _halved(state, vae, tower)
        layout = export_model(
            out,
            state,
            run.engine.config,
            vae=vae,
            tower=tower,
            weights="ema" if averaged else "raw",
            step=run.counts.step,
            layout=None if config.export_layout == "auto" else config.export_layout,
            encoders=run.frozen.fingerprints,
            hole_sides=hole_sides,
            average={"decay": config.ema, "updates": run.counts.updates} if averaged else None,
            prior=bool(config.init_from),
        )
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        kind = "moving average" if averaged else "raw"
        run.ranks.say(f"{name}: {out} ({layout} layout, {kind} weights, {size / 1e6:,.1f} MB)")
    run.ranks.barrier()


def _halved(state: Tensors, vae: Any | None, tower: Any | None) -> tuple[Tensors, Any | None, Any | None]:
    """Round weights and copies of the encoders to fp16.

    Raises:
        InputError: one of them holds larger numbers.
    """
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    vae, tower = (part and in_precision(part, torch.float16) for part in (vae, tower))
    parts = {"model": half, "VAE": vae and vae.state_dict(), "exemplar encoder": tower and tower.state_dict()}
    for name, rounded in parts.items():
        refuse_overflow(rounded or {}, f"--export-dtype fp16: the {name}", remedy="give fp32, with --export-only")
    return half, vae, tower


def _edit_line(run: Run) -> str:
    """Write an example beside the model, and the command that edits it."""
    if not (run.frozen.vae and run.frozen.clip):
        return "the model has not all encoders: to edit with it, give pbe.edit --vae and --exemplar-encoder"
    dataset = run.validation.dataset if run.validation else run.feed.dataset
    paths = [short_path(str(path)) for path in write_example(run.out / EXAMPLE, dataset, run.frozen.vae.model)]
    flags = dict(zip(("source", "mask", "exemplar"), paths, strict=True))
    edited = short_path(str(run.out / EXAMPLE / "edited.png"))
    command = command_line("python", "-m", "pbe.edit", model=short_path(str(run.out)), **flags, out=edited)
    return f"edit with it: {command}"


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


def _validation_samples(config: TrainConfig, ranks: Ranks) -> ValidationSamples | None:
    """Open the samples of the validation split to look at; None: there are none, or nobody asks.

    Raises:
        InputError: an index of it is damaged, which should stop the training now, not at its first validation.
    """
    if not config.eval_every and not config.grid_every:
        return None
    try:
        dataset = open_dataset(config.data, split="validation", draws=1, block=config.block, anonymous=config.anonymous)
    except InputError as error:
        ranks.say(f"no validation: {error}")
        return None
    keys = [key for shard in dataset.shards[0] for key in dataset.index(shard).keys]
    return ValidationSamples(dataset, keys[: config.eval_samples or len(keys)]) if keys else None
