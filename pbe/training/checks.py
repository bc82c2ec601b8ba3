"""Checks: a training's flags, its dataset and OUT -> nothing, or the mistake by name. Imports no torch.

What needs the weights themselves is checked where they are loaded: fingerprints, tensors, the device's precisions.
"""

import os
from pathlib import Path

from pbe.feed.contents import differing_shards
from pbe.feed.dataset import Dataset, check_sources, open_dataset
from pbe.feed.order import Order, check_world, divisors
from pbe.training.config import TrainConfig, encoder_name
from pbe.training.run_folder import (
    begun_states,
    draws_begun_with,
    kept_shards,
    list_checkpoints,
    refuse_beginning,
    refuse_busy,
    refuse_changes,
)
from pbe.weights.averages import check_choice
from pbe.weights.hub import find_configs
from pbe.weights.model_files import RAW_MODEL, read_json
from pbe.weights.own_note import is_own, read_prediction
from pipeline.encoders.facts import read_clip_facts, read_vae_facts
from pipeline.encoders.names import NONE
from pipeline.errors import InputError
from pipeline.shards.manifest import read_manifest
from pipeline.storage.writable import refuse_unwritable


def check_training(config: TrainConfig) -> None:
    """Check what can be checked before anything is imported, loaded or made.

    Raises:
        InputError: naming the flag, the value and what to give.
    """
    start = find_configs("--init-from", config.init_from) if config.init_from else None
    if start:
        check_choice(config.init_from, start, config.weights)
        _refuse_velocities(config, start)
    count_micro_batches(config, world=int(os.environ.get("WORLD_SIZE", "1")))
    draws = draws_begun_with(Path(config.out))
    dataset = open_dataset(config.data, split="train", draws=draws, anonymous=config.anonymous)
    Order(dataset.counts, batch=config.batch_size, lanes=config.lanes, block=config.block, seed=config.seed)
    if config.masks == "box":
        check_sources(dataset)
    _check_encoders(config, dataset)
    if start:
        _refuse_other_latents(config, start, dataset)
    _check_out(config, dataset)


def _refuse_velocities(config: TrainConfig, folder: Path) -> None:
    """Refuse to train a model of velocities on to one of noise; the other way is allowed.

    Raises:
        InputError: naming the flag to give.
    """
    if read_prediction(folder) == "v" and config.prediction == "epsilon":
        raise InputError(f"--init-from {config.init_from}: predicts velocities, not noise; give --prediction v")


def _refuse_other_latents(config: TrainConfig, start: Path, dataset: Dataset) -> None:
    """Refuse a model to start from whose latents are of another kind than the dataset's.

    Raises:
        InputError: naming both numbers of channels.
    """
    channels = read_json(start / "unet" / "config.json").get("out_channels", dataset.channels)
    if channels != dataset.channels:
        raise InputError(
            f"--init-from {config.init_from}: its latents have {channels} channels, those of {config.data} "
            f"{dataset.channels}; give --no-prior to start at random, the preset of the dataset, or another model"
        )


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


def _check_encoders(config: TrainConfig, dataset: Dataset) -> None:
    """Hold the encoders' configs against the dataset's recipe.

    Raises:
        InputError: a trained encoder is not named, is missing, or is another one than the dataset's.
    """
    names = read_manifest(dataset.folder).get("encoders", {})
    vae = encoder_name("--vae", config.vae, names.get("vae", ""))
    clip = encoder_name("--exemplar-encoder", config.clip, names.get("clip", ""))
    compared = []
    if vae != NONE:
        facts = read_vae_facts(vae)
        compared.append((f"--vae {vae}", "px a latent cell", facts.factor, dataset.factor))
        compared.append((f"--vae {vae}", "channels of a latent", facts.channels, dataset.channels))
    if clip != NONE:
        width = read_clip_facts(clip).dimension
        compared.append((f"--exemplar-encoder {clip}", "numbers of an exemplar vector", width, dataset.dimension))
    for flag, what, given, expected in compared:
        if given != expected:
            raise InputError(f"{flag}: {given} {what}, {config.data} has {expected}; give the encoder that made it")


def _check_out(config: TrainConfig, dataset: Dataset) -> None:
    """Hold OUT, and what an earlier start left there, against the config.

    Raises:
        InputError: OUT cannot be written, is in use, or holds another training.
    """
    out = Path(config.out)
    refuse_unwritable(f"--out {out}", out)
    if os.environ.get("RANK", "0") == "0":  # the others may come when the first one holds it already
        refuse_busy(out)
    is_taken = (out / RAW_MODEL).exists() and not is_own(out / RAW_MODEL)
    if is_taken and config.ema and config.export_weights == "auto":
        raise InputError(
            f"--out {out}: its {RAW_MODEL} holds something other than a model of this project; move it, or give "
            "--export-weights ema"
        )
    refuse_beginning(config, resumes=bool(list_checkpoints(out)))
    states = begun_states(out)
    if states:
        refuse_changes(config, states[0].get("config", {}))
        began = states[0].get("position", {}).get("dataset")
        if began and not dataset.contents.has_digest(began):
            raise InputError(
                f"--data {config.data}: {out} was begun with other shards ({_other_shards(out, dataset, began)}); "
                "give that dataset again, or another --out"
            )


def _other_shards(out: Path, dataset: Dataset, began: str) -> str:
    """Say in which shards a dataset differs from the one that a training began with."""
    digests = f"dataset {began[:12]}... then, {dataset.digest[:12]}... now"
    before = kept_shards(out)
    if before is None:
        return digests
    return differing_shards(before, dataset.contents.rows) or f"the same ones by another recipe: {digests}"
