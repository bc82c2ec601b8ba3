"""Start: a config -> a run, new or taken up from its newest checkpoint."""

from pathlib import Path
from typing import Any

import torch

from pbe.feed.config import FeedConfig
from pbe.feed.dataset import open_dataset
from pbe.feed.order import check_world, divisors
from pbe.feed.training_feed import Feed
from pbe.model.paint_by_example import PaintByExample, count_parameters, model_config
from pbe.model.unet import UNET_SIZES
from pbe.training.checkpoint import find_checkpoint, load_checkpoint, make_universal
from pbe.training.config import TrainConfig, lasting
from pbe.training.engine import Engine
from pbe.training.frozen import FrozenEncoders
from pbe.training.memory import describe_memory
from pbe.training.moving_average import MovingAverage
from pbe.training.ranks import Ranks
from pbe.training.run import Counts, Run
from pbe.training.run_folder import find_commit, write_record
from pbe.weights.building import initialise
from pbe.weights.reading import read_weights
from pipeline.errors import InputError


def count_micro_batches(config: TrainConfig, *, world: int) -> int:
    """Count the micro-batches of a rank.

    Raises:
        InputError: the world size does not divide the lanes, or the micro-batches the rank's part of the batch.
    """
    check_world(world, lanes=config.lanes)
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
    ranks.say(f"code: {Path(__file__).parent.parent.parent} ({find_commit()}); out: {out}")
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


def _has_validation(config: TrainConfig, ranks: Ranks) -> bool:
    """Tell whether there is a validation split to look at.

    Raises:
        InputError: an index of it is damaged.
    """
    if not config.eval_every and not config.grid_every:
        return False
    try:
        dataset = open_dataset(config.data, split="validation", anonymous=config.anonymous)
    except InputError as error:
        ranks.say(f"no validation: {error}")
        return False
    for shard in dataset.shards[0]:
        dataset.index(shard)  # a damaged one had better stop the training now than at its first validation
    return True


def _refuse_changes(config: TrainConfig, before: dict[str, Any], out: Path) -> None:
    now = lasting(config)
    changed = [f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]]
    if changed:
        raise InputError(
            f"--out {out}: began with another training ({', '.join(changed)}); give that one again, or another --out"
        )
