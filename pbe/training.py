"""Training: config -> a trained model in OUT, step by step, going on from the newest checkpoint."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pbe.batch import Batch
from pbe.checkpoint import find_checkpoint, load_checkpoint, make_universal, save_checkpoint
from pbe.dataset import open_dataset
from pbe.diffusion import weighted_loss
from pbe.engine import Engine
from pbe.export import export_model
from pbe.feed import Feed, FeedConfig, FeedStep
from pbe.frozen import FrozenEncoders, load_frozen
from pbe.loading import initialise
from pbe.memory import describe_memory
from pbe.model import PaintByExample, count_parameters, model_config
from pbe.moving_average import MovingAverage
from pbe.observations import Observations, observe
from pbe.order import Position, divisors
from pbe.ranks import Ranks, find_place, joined
from pbe.run_folder import find_commit, lock_run, write_record
from pbe.telemetry import Row, Telemetry, draw_losses
from pbe.train_config import TrainConfig, lasting
from pbe.unet import UNET_SIZES
from pbe.validation import validate
from pbe.weights import read_weights
from pipeline.errors import InputError
from pipeline.manifest import read_manifest
from pipeline.storage import Folder

EXIT_DONE, EXIT_INTERRUPTED = 0, 130
MODEL = "model"


@dataclass
class Counts:
    """What a training counts, kept in its checkpoints."""

    step: int = 0
    updates: int = 0
    bad: int = 0
    """Steps skipped since loss or gradients were not finite."""
    bad_in_a_row: int = 0
    overflows: int = 0
    """fp16 steps skipped since the loss scale was too large, as is usual."""
    missing: int = 0
    """Samples passed over with weight 0."""


@dataclass
class Run:
    """A training under way."""

    config: TrainConfig
    ranks: Ranks
    feed: Feed
    frozen: FrozenEncoders
    engine: Engine
    average: MovingAverage | None
    validates: bool
    position: Position = field(default_factory=Position)
    counts: Counts = field(default_factory=Counts)

    @property
    def out(self) -> Path:
        return Path(self.config.out)

    def prepare(self, batch: Batch) -> Batch:
        """Bring a batch to the device and encode what is to be encoded live."""
        device = self.ranks.device
        moved = {f.name: getattr(batch, f.name) for f in fields(Batch)}
        moved = {n: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for n, v in moved.items()}
        return self.frozen.encode(Batch(**moved))


def train(config: TrainConfig) -> int:
    """Train to the last step, or to a signal; returns the exit code.

    Raises:
        InputError: flags, dataset, weights, checkpoints and world size do not fit each other, or a sample is damaged.
    """
    ranks = find_place()
    if ranks.device.type == "cpu":
        torch.set_num_threads(1 if ranks.world > 1 else torch.get_num_threads())
    lock = lock_run(Path(config.out)) if ranks.first else nullcontext()
    accumulation = count_micro_batches(config, world=ranks.world)
    feed = Feed(feed_config(config), rank=ranks.rank, world=ranks.world, accumulation=accumulation)
    frozen = load_frozen(config, read_manifest(Folder(config.data, config.anonymous)), device=str(ranks.device))
    model = build(config, feed, frozen, ranks)
    with lock, joined(ranks, timeout_seconds=config.collective_timeout):
        with stop_signals() as received:
            run = start(config, ranks, feed, frozen, model, accumulation)
            if not config.export_only:
                steps(run, received)
            if run.counts.step >= config.steps or config.export_only:
                export(run)
        if ranks.first and not config.export_only:
            draw_losses(run.out)
        return EXIT_INTERRUPTED if signal.SIGINT in received else EXIT_DONE


def count_micro_batches(config: TrainConfig, *, world: int) -> int:
    """Count the micro-batches of a rank.

    Raises:
        InputError: they do not divide its part of the batch.
    """
    share = config.batch_size // world
    micro = min(config.micro_batch or share, share)
    if not share or config.batch_size % world or share % micro:
        raise InputError(
            f"--batch-size {config.batch_size} over {world} ranks in micro-batches of {micro}: does not come out even; "
            f"give a --micro-batch from {divisors(max(share, 1))} and as many ranks as divide {config.lanes} lanes"
        )
    return share // micro


def feed_config(config: TrainConfig) -> FeedConfig:
    """Tell the feed what of the training concerns it."""
    return FeedConfig(
        data=config.data,
        seed=config.seed,
        batch_size=config.batch_size,
        lanes=config.lanes,
        block=config.block,
        drop_share=config.drop_share,
        exemplar=config.exemplar_mode,
        masks=config.masks,
        bad_samples=config.bad_samples,
        check_hashes=config.check_hashes,
        workers=config.workers,
        cache=config.cache,
        cache_gb=config.cache_gb,
        anonymous=config.anonymous,
    )


def build(config: TrainConfig, feed: Feed, frozen: FrozenEncoders, ranks: Ranks) -> PaintByExample:
    """Build the model for the dataset, and start it from weights or at random."""
    dataset = feed.dataset
    size = model_config(
        UNET_SIZES[config.model],
        latent_channels=dataset.channels,
        latent_size=dataset.resolution // dataset.factor,
        exemplar_width=dataset.dimension,
        blocks=config.mapper_blocks or frozen.mapper_blocks,
        bottleneck=config.bottleneck,
    )
    torch.manual_seed(config.seed)
    model = PaintByExample(size)
    if config.init_from:
        for line in initialise(model, read_weights(config.init_from)):
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
    """Make the engine, from the newest checkpoint where there is one."""
    out = Path(config.out)
    live, dead = count_parameters(model) - count_parameters(model, dead=True), count_parameters(model, dead=True)
    found = find_checkpoint(out, ranks)
    if found and config.resume == "never":
        raise InputError(f"--out {out}: holds checkpoints; give --resume auto to go on, or another --out")
    if not found and config.export_only:
        raise InputError(f"--out {out}: holds no checkpoint to export; train first")
    if found:
        _refuse_changes(config, found.state["config"], out)
        position = feed.resume(found.state["position"])
    other_world = found is not None and config.zero_stage > 0 and found.state["world"] != ranks.world
    universal = make_universal(found, ranks) if found and other_world else None
    engine = Engine(model, config, ranks, accumulation=accumulation, universal=other_world)
    average = MovingAverage(engine, config.ema) if config.ema else None
    run = Run(config, ranks, feed, frozen, engine, average, _has_validation(config, ranks))
    if found:
        load_checkpoint(found, engine, average, ranks, universal=universal)
        run.position, run.counts = position, Counts(**found.state["counts"])
    if ranks.first and not config.export_only:
        write_record(out, config, world=ranks.world, dataset=feed.digest)
    epoch = feed.describe(run.position.epoch)
    ranks.say(f"code: {Path(__file__).parent.parent} ({find_commit()}); out: {out}")
    ranks.say(f"model: {live:,} trained parameters and {dead:,} kept as they are; {ranks.world} x {ranks.device.type}")
    ranks.say(
        describe_memory(
            live=live,
            dead=dead,
            dtype=config.dtype,
            stage=config.zero_stage,
            ranks=ranks.world,
            ema=config.ema > 0,
            offload=config.offload,
        )
    )
    ranks.say(f"epoch of {epoch.samples:,} samples: {epoch.steps:,} steps, {epoch.dropped} samples dropped at its end")
    ranks.say(f"from {found.folder.name}" if found else "from the beginning")
    return run


def steps(run: Run, received: set[int]) -> None:
    """Train step by step until the last, or until a rank has received a signal."""
    config, counts = run.config, run.counts
    if counts.step >= config.steps:
        return
    log = Telemetry(run.out, done=counts.step, steps=config.steps) if run.ranks.first else None
    saved = counts.step
    source = run.feed.steps(run.position)
    try:
        while counts.step < config.steps:
            row, stop = one_step(run, source, received)
            if _due(counts.step, config.eval_every, config.steps) and run.validates:
                row.update(validation(run))
            if log:
                log.write(row)
            if stop or _due(counts.step, config.save_every, config.steps):
                save(run)
                saved = counts.step
            if stop:
                break
    finally:
        source.close()  # type: ignore[attr-defined]
        if log:
            log.close()
    if counts.step < config.steps:
        run.ranks.say(f"stopped at step {saved} and saved it; run the same command again to go on")


def one_step(run: Run, source: Iterator[FeedStep], received: set[int]) -> tuple[Row, bool]:
    """Train on the next global batch; returns its row, and whether a rank was told to stop."""
    config, ranks, counts, engine = run.config, run.ranks, run.counts, run.engine
    began = time.perf_counter()
    step = next(source)
    waited = time.perf_counter() - began
    shares = ranks.world * len(step.batches)
    valid = float(config.batch_size)
    if config.bad_samples == "skip":
        valid = ranks.sum(sum(float(batch.weights.sum()) for batch in step.batches))
    rows = []
    for number, micro in enumerate(step.batches):
        last = number == len(step.batches) - 1
        batch = run.prepare(micro)
        losses = engine.losses(batch)
        engine.backward(weighted_loss(losses.per_sample, batch.weights, valid=valid, shares=shares), last=last)
        rows.append(observe(batch, losses))
        if not last:
            engine.between()
    seen, stop = _gather(np.concatenate(rows), bool(received), ranks)
    lr = config.lr * min(1.0, (counts.step + 1) / max(1, config.warmup_steps))
    updated, norm = engine.step(lr=lr, allowed=seen.finite)
    counts.step += 1
    counts.updates += updated
    counts.missing += seen.missing
    overflow = config.dtype == "fp16" and seen.finite and not updated
    counts.overflows += overflow
    counts.bad_in_a_row = 0 if updated or overflow else counts.bad_in_a_row + 1
    counts.bad += not updated and not overflow
    if run.average and updated:
        run.average.update(counts.updates)
    run.position = step.after
    _refuse_many_bad(run, step)
    row: Row = {"step": counts.step, "loss": seen.mean("loss"), "batch": seen.digest, "epoch": step.position.epoch}
    row |= {"loss_inside": seen.mean("inside"), "loss_outside": seen.mean("outside")}
    row |= {f"loss_t{number}": value for number, value in enumerate(seen.by_timestep())}
    row |= {"grad_norm": norm, "uncond_norm": float(engine.full("conditioner.uncond_vector").norm()), "lr": lr}
    row |= {"skipped": counts.bad, "overflows": counts.overflows, "missing_samples": counts.missing}
    seconds = time.perf_counter() - began
    return row | {"samples_per_second": config.batch_size / seconds, "data_wait": waited / seconds}, stop


def validation(run: Run) -> Row:
    """Compute the validation losses, raw and of the moving average."""
    config = run.config
    micro = len(run.feed.slots[0])

    def measure() -> float:
        feed = run.feed.config
        return validate(run.engine, feed, run.prepare, run.ranks, micro_batch=micro, samples=config.eval_samples)

    row: Row = {"validation_loss": measure()}
    if run.average:
        with run.average.in_model():
            row["validation_loss_ema"] = measure()
    return row


def save(run: Run) -> None:
    """Write a checkpoint of now."""
    state = {
        "step": run.counts.step,
        "updates": run.counts.updates,
        "counts": asdict(run.counts),
        "position": run.feed.state(run.position),
        "config": lasting(run.config),
        "world": run.ranks.world,
    }
    save_checkpoint(run.out, run.engine, run.average, state, run.ranks, keep_last=run.config.keep_last)


def export(run: Run) -> None:
    """Write OUT/model; all ranks must take part."""
    config = run.config
    averaged = run.average is not None and config.export_weights != "raw"
    if averaged and run.average:
        with run.average.exchanged():
            state = run.engine.full_state(keep=run.ranks.first)
    else:
        state = run.engine.full_state(keep=run.ranks.first)
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


@contextmanager
def stop_signals() -> Iterator[set[int]]:
    """Collect SIGTERM and SIGINT instead of dying of them; the ranks agree on the stop at the end of a step."""
    received: set[int] = set()
    old = {number: signal.signal(number, lambda n, _: received.add(n)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _gather(rows: Any, stop: bool, ranks: Ranks) -> tuple[Observations, bool]:
    """Gather all samples' rows, and by the same message whether any rank was told to stop."""
    flags = np.full((len(rows), 1), float(stop))
    gathered = ranks.gather_rows(np.concatenate([rows, flags], axis=1))
    return Observations(gathered[:, :-1]), bool(gathered[:, -1].any())


def _due(step: int, every: int, last: int) -> bool:
    return every > 0 and (step % every == 0 or step == last)


def _has_validation(config: TrainConfig, ranks: Ranks) -> bool:
    if not config.eval_every:
        return False
    try:
        open_dataset(config.data, split="validation", anonymous=config.anonymous)
    except InputError as error:
        ranks.say(f"no validation: {error}")
        return False
    return True


def _refuse_changes(config: TrainConfig, before: dict[str, Any], out: Path) -> None:
    now = lasting(config)
    changed = [f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]]
    if changed:
        raise InputError(
            f"--out {out}: began with another training ({', '.join(changed)}); give that one again, or another --out"
        )


def _refuse_many_bad(run: Run, step: FeedStep) -> None:
    config, counts = run.config, run.counts
    if counts.bad_in_a_row >= config.most_bad_in_a_row or counts.bad >= config.most_bad:
        keys = [key for part in run.ranks.gather([k for b in step.batches for k in b.keys]) for key in part]
        raise InputError(
            f"step {counts.step}: loss or gradients are not finite for {counts.bad_in_a_row} steps in a row, "
            f"{counts.bad} in all; the weights of before are in the newest checkpoint. The batch: {', '.join(keys)}. "
            "Look at these samples, lower --lr, or use --dtype bf16 or fp32"
        )
