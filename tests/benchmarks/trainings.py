"""Trainings: sizes and a generated dataset -> the product's trainer, ready for its next step, weights at random."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pbe.batch import Batch
from pbe.feed.order import Position
from pbe.feed.training_feed import Feed, FeedStep
from pbe.model.paint_by_example import PaintByExample
from pbe.training.config import TrainConfig, feed_config
from pbe.training.engine import Engine
from pbe.training.frozen import FrozenEncoders
from pbe.training.loop import one_step
from pbe.training.ranks import Ranks, find_place
from pbe.training.run import Run
from pbe.training.run_folder import Row
from tests.benchmarks.step_models import Encoders, Pictures, Sizes, model_of, random_pictures
from tests.synthetic import write_synthetic

SAMPLES = 160


@dataclass(frozen=True, kw_only=True)
class Online(FrozenEncoders):
    """Encodes pictures anew for each step, whatever the batch holds, as online training does."""

    encoders: Encoders
    pictures: Pictures

    def encode(self, batch: Batch) -> Batch:
        return self.encoders.encode(batch, self.pictures)


@dataclass(frozen=True, kw_only=True)
class LiveExemplars(Online):
    """Encodes exemplars anew for each step."""

    def encode(self, batch: Batch) -> Batch:
        return replace(batch, exemplars=self.encoders.encode_exemplars(self.pictures.exemplars))


@dataclass
class Training:
    """A training between two steps."""

    run: Run
    source: Iterator[FeedStep]

    def step(self) -> Row:
        """Make the trainer's next step; its row of the log."""
        row, _ = one_step(self.run, self.source, set())
        return row

    def close(self) -> None:
        """End the threads of its feed, and let go of what DeepSpeed holds."""
        self.source.close()  # type: ignore[attr-defined]
        self.run.engine.deepspeed.destroy()


ENCODING = {"online": Online, "live exemplars": LiveExemplars}


def write_dataset(folder: Path, sizes: Sizes) -> None:
    """Write a dataset of random latents and vectors in these sizes."""
    write_synthetic(folder, [[SAMPLES // 2, SAMPLES // 2]], side=sizes.latent, dimension=sizes.clip_width)


def open_trainings(
    variants: Sequence[str], sizes: Sizes, data: Path, encoders: Encoders, *, device: str, **settings: Any
) -> dict[str, Training]:
    """Open trainings by the variants of `tests.benchmarks.step`; all but `stock` share an engine.

    Args:
        settings: of TrainConfig.
    """
    place = find_place()
    ranks = Ranks(place.rank, place.world, place.local_rank, torch.device(device))
    kind = {"dtype": "bf16", "zero_stage": 2, "workers": 4} if device == "cuda" else {"zero_stage": 1}
    config = replace(
        TrainConfig(data=str(data), lanes=1, clip_norm=0.0, vae="none", clip="none", mapper_blocks=1), **kind
    )
    config = replace(config, **settings)
    engines: dict[bool, Engine] = {}
    trainings = {}
    for variant in variants:
        stock = variant == "stock"
        if stock not in engines:
            with torch.device(device):
                model = PaintByExample(model_of(sizes, one_token=not stock)).train()
            engines[stock] = Engine(model, config, ranks, accumulation=1)
        feed = Feed(feed_config(config))
        frozen = FrozenEncoders(None, None, False)
        if variant in ENCODING:
            pictures = random_pictures(sizes, config.batch_size, device=device, seed=0)
            frozen = ENCODING[variant](None, None, False, encoders=encoders, pictures=pictures)
        run = Run(config, ranks, feed, frozen, engines[stock], average=None, validation=None)
        trainings[variant] = Training(run, feed.steps(Position()))
    return trainings
