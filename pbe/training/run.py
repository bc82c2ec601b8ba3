"""Run: the parts of a training in progress, and how they are saved together."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from pbe.batch import Batch
from pbe.feed.dataset import Dataset
from pbe.feed.order import Position
from pbe.feed.training_feed import Feed
from pbe.training.checkpoint import save_checkpoint
from pbe.training.config import TrainConfig, lasting
from pbe.training.engine import Engine
from pbe.training.frozen import FrozenEncoders
from pbe.training.memory import Memory, state_memory
from pbe.training.moving_average import MovingAverage
from pbe.training.ranks import Ranks
from pbe.training.sample_grids import GridSamples
from pipeline.errors import InputError
from pipeline.tensors.fitting import is_finite


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
    """Samples skipped with weight 0."""

    def add(self, *, updated: bool, overflow: bool, missing: int) -> None:
        """Count a step.

        Args:
            updated: whether it changed the weights.
            overflow: of fp16.
            missing: samples of weight 0.
        """
        bad = not updated and not overflow
        self.step += 1
        self.updates += updated
        self.missing += missing
        self.overflows += overflow
        self.bad += bad
        self.bad_in_a_row = self.bad_in_a_row + 1 if bad else 0


@dataclass(frozen=True)
class ValidationSamples:
    """The samples that are looked at: an opened split, which whatever is added to its dataset leaves as it is.

    Args:
        keys: as stored.
    """

    dataset: Dataset
    keys: list[str]


@dataclass
class Run:
    """A training under way."""

    config: TrainConfig
    ranks: Ranks
    feed: Feed
    frozen: FrozenEncoders
    engine: Engine
    average: MovingAverage | None
    validation: ValidationSamples | None
    """None: no sample is looked at."""
    position: Position = field(default_factory=Position)
    counts: Counts = field(default_factory=Counts)
    grid_samples: GridSamples | None = None
    """What sample grids show, once one has been drawn."""

    @property
    def out(self) -> Path:
        return Path(self.config.out)

    @property
    def memory(self) -> Memory:
        """What this rank's training state takes by formula."""
        config = self.config
        return state_memory(
            live=self.engine.live_count,
            dead=self.engine.dead_count,
            dtype=config.dtype,
            stage=config.zero_stage,
            ranks=self.ranks.world,
            ema=config.ema > 0,
        )

    def full_state(self, *, averaged: bool) -> dict[str, torch.Tensor]:
        """Gather the weights, or their moving average where one is kept, on the first rank; all must take part."""
        with self.average.exchanged() if averaged and self.average else nullcontext():
            return self.engine.full_state(keep=self.ranks.first)

    def prepare(self, batch: Batch) -> Batch:
        """Bring a batch to the device and encode what is to be encoded live."""
        return self.frozen.encode(batch.to(self.ranks.device))


def refuse_odd_weights(run: Run) -> None:
    """Refuse weights that are not finite, which neither a checkpoint nor a model should hold; all ranks must take part.

    Raises:
        InputError: they are not.
    """
    parts = [*run.engine.masters, *(run.average.parts if run.average else ())]
    if run.ranks.sum(float(not all(map(is_finite, parts)))):
        raise InputError(
            f"step {run.counts.step}: the weights are not finite any more, and are not written; the newest checkpoint "
            "is from before. Begin again in another --out, with a lower --lr or a longer --warmup-steps"
        )


def save(run: Run) -> None:
    """Write a checkpoint of the present state.

    Raises:
        InputError: the weights are not finite.
    """
    refuse_odd_weights(run)
    state = {
        "step": run.counts.step,
        "updates": run.counts.updates,
        "counts": asdict(run.counts),
        "position": run.feed.state(run.position),
        "config": lasting(run.config),
        "world": run.ranks.world,
    }
    save_checkpoint(run.out, run.engine, run.average, state, run.ranks, keep_last=run.config.keep_last)
