"""Losses: a model and unseen photos -> how much better it denoises the hole with the right exemplar.

    python -m examples.small_model.losses --data DATASET --out FILE.json [--flags]

The same samples with the same noise are denoised with their own exemplar, another photo's, one of the same class of
another photo, and none. See `pbe.evaluation.exemplar_use`, whose measure this is.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from pbe.evaluation.metrics.intervals import mean_of
from pbe.evaluation.summary import Mean
from pbe.feed.config import FeedConfig
from pipeline.command import guard
from pipeline.encoders.names import SHIPPED
from pipeline.errors import InputError
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute_output, is_local
from pipeline.storage.writable import refuse_unwritable

if TYPE_CHECKING:
    from pbe.batch import Batch
    from pbe.evaluation.exemplar_use import ExemplarUse
    from pbe.model.paint_by_example import PaintByExample

SPLIT, BATCH = "validation", 32
ABSENT = "\N{EN DASH}"


@dataclass(frozen=True)
class LossesConfig:
    """Measure by how much the right exemplar helps a model to denoise the hole, on photos it was not trained on."""

    data: str
    """A dataset of unseen photos, made with the model's encoders; its validation split is used."""
    out: str
    """The JSON file to write."""
    model: str = SHIPPED
    """A training's folder or an exported model; `shipped`: the small model of this package."""
    limit: int = 0
    """Photos to take, the first ones. 0: all."""
    seed: int = 0
    """Decides the noise, and whose exemplar each photo gets."""


def main(arguments: list[str]) -> int:
    """Measure as the command line says; return the exit code."""
    return guard(
        lambda: measure(tyro.cli(LossesConfig, args=arguments, prog="python -m examples.small_model.losses")),
        go_on="run the same command again",
    )


def measure(config: LossesConfig) -> int:
    """Measure, write the numbers, print the table; return the exit code.

    Raises:
        InputError: model or dataset cannot be opened, or do not fit together, or a loss is not finite.
    """
    if config.limit < 0:
        raise InputError(f"--limit {config.limit}: give a number of photos; 0 takes all")
    out = Path(absolute_output("--out", config.out))
    if out.suffix != ".json" or not is_local(config.out):
        raise InputError(f"--out {config.out}: give a name on a local disk that ends in .json")
    refuse_unwritable(f"--out {config.out}", out.parent)
    loss, use = measure_model(config)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"validation_loss": asdict(loss), **numbers_of(use)}, indent=1) + "\n")
    print(f"validation loss {loss.value:.4f} [{loss.low:.4f}, {loss.high:.4f}], of whole latents at drawn timesteps\n")
    print(table_of(use))
    return 0


def measure_model(config: LossesConfig) -> tuple[Mean, "ExemplarUse"]:
    """Open model and dataset, and measure.

    Returns:
        The validation loss as the trainer takes it, the mean squared error of the noise; and what exemplars change.

    Raises:
        InputError: see `measure`.
    """
    recipe = read_manifest(Folder(config.data))["recipe"]
    from pbe.evaluation.exemplar_use import measure_exemplar_use
    from pbe.feed.dataset import open_dataset
    from pbe.feed.fixed_batches import fixed_batches
    from pbe.weights.building import build_model
    from pbe.weights.reading import read_weights

    feed = FeedConfig(config.data, split=SPLIT, seed=config.seed, batch_size=BATCH, lanes=1, drop_share=0)
    dataset = open_dataset(config.data, split=SPLIT, lanes=1, block=feed.block)
    weights = read_weights(config.model)
    model = build_model(weights).eval()
    refuse_other_sizes(config, recipe, model.config.unet, model.config.conditioner.width)
    for line in warnings_of(weights.note, recipe):
        print(f"NOTE: {line}")
    batches = list(fixed_batches(feed, dataset=dataset, limit=config.limit))
    labels = labels_of(config.data)
    classes = [
        labels[key]
        for batch in batches
        for key, weight in zip(batch.keys, batch.weights.tolist(), strict=True)
        if weight > 0
    ]
    if len(classes) < 2:
        raise InputError(f"--data {config.data}: holds {len(classes)} photos in its {SPLIT} split; two are needed")
    try:
        use = measure_exemplar_use(model, batches, classes=classes, seed=config.seed)
    except ValueError as error:  # a loss that is not finite
        raise InputError(f"--model {config.model}: {error}; take the weights of an earlier step") from error
    return validation_loss(model, batches), use


def validation_loss(model: "PaintByExample", batches: Sequence["Batch"]) -> Mean:
    """Average the loss over photos, at the timesteps that the batches hold."""
    import torch

    values: list[float] = []
    for batch in batches:
        with torch.inference_mode():
            values += model(batch).per_sample[batch.weights > 0].tolist()
    mean = mean_of(values, seed=0)
    assert mean is not None  # of two photos at least
    return mean


def refuse_other_sizes(config: LossesConfig, recipe: Mapping[str, Any], unet: Mapping[str, Any], width: int) -> None:
    """Refuse a dataset of other encoders than the model's, as far as sizes tell.

    Raises:
        InputError: naming what differs.
    """
    cells = recipe["resolution"] // recipe["vae"]["factor"]
    there = {
        "latent channels": recipe["vae"]["channels"],
        "cells": cells,
        "exemplar width": recipe["clip"]["dimension"],
    }
    own = {"latent channels": unet["out_channels"], "cells": unet["sample_size"], "exemplar width": width}
    if others := [f"{name} {there[name]}, the model's {own[name]}" for name in own if own[name] != there[name]]:
        raise InputError(
            f"--data {config.data}: {'; '.join(others)}; make it with --vae {config.model} and --exemplar-encoder "
            f"{config.model}, at the model's resolution"
        )


def warnings_of(note: Mapping[str, Any], recipe: Mapping[str, Any]) -> Iterator[str]:
    """Say what of the dataset's encoders is not what the model's training recorded."""
    for name, fingerprint in note.get("encoders", {}).items():
        if recipe[name]["fingerprint"] != fingerprint:
            yield f"the dataset's {name} has another fingerprint than the one that the model was trained with"


def labels_of(data: str) -> dict[str, str]:
    """Read the class of each sample's box, by the sample's key."""
    from pbe.evaluation.bench.split_rows import read_split

    table = read_split(data, SPLIT).table
    return dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))


def numbers_of(use: "ExemplarUse") -> dict[str, Any]:
    """Put losses, ratios and differences with their 95 % intervals into JSON, by timestep and condition."""
    from pbe.evaluation.exemplar_use import RIGHT

    conditions = [name for name in use.losses if name != RIGHT and use.photos(name)]
    return {
        "photos": {name: use.photos(name) for name in use.losses},
        "timesteps": {
            str(at): {
                "losses": {name: use.mean(name, at) for name in (RIGHT, *conditions)},
                "ratio": {name: asdict(use.ratio(name, at)) for name in conditions},
                "gain": {name: asdict(use.gain(name, at)) for name in conditions},
            }
            for at in use.timesteps
        },
    }


def table_of(use: "ExemplarUse") -> str:
    """Write the Markdown table: ratios above 1 and differences above 0 say that the right exemplar helps."""
    from pbe.evaluation.exemplar_use import OTHER, RIGHT, SAME_CLASS, UNCONDITIONAL

    lines = [
        f"{use.photos(RIGHT)} photos, {use.photos(SAME_CLASS)} of them with another of their class; loss in the hole, "
        "95 % intervals over photos",
        "",
        "| t | right exemplar | another photo's / right | same class / right | none / right | none - right |",
        "|---|---|---|---|---|---|",
    ]
    for at in use.timesteps:
        conditions = (OTHER, SAME_CLASS, UNCONDITIONAL)
        ratios = [str(use.ratio(name, at)) if use.photos(name) else ABSENT for name in conditions]
        gain = use.gain(UNCONDITIONAL, at)
        difference = f"{gain.value:.5f} [{gain.low:.5f}, {gain.high:.5f}]"
        lines.append(f"| {' | '.join([str(at), f'{use.mean(RIGHT, at):.4f}', *ratios, difference])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
