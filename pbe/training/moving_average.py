"""Moving average: the fp32 weights after each step -> their exponential average, each rank keeping its own part.

It lies beside the optimiser's part of the fp32 weights, so that it is as large, and moves without telling any other
rank. In a checkpoint it is stored by tensor name, so that any number of ranks can read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open

from pbe.training.engine import Engine
from pbe.training.ranks import Ranks
from pipeline.tensors.reading import write_tensors

_CHUNK = 1 << 24  # numbers exchanged at a time


class MovingAverage:
    """The average of an engine's weights."""

    def __init__(self, engine: Engine, decay: float) -> None:
        self.engine, self.decay = engine, decay
        self.parts = [part.clone() for part in engine.masters]

    def update(self, step: int) -> None:
        """Take in the weights after a step, with a shorter memory at the beginning."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.parts, self.engine.masters, 1 - decay)

    @contextmanager
    def exchanged(self) -> Iterator[None]:
        """Swap the average and the fp32 weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Let the model compute with the average; all ranks must take part."""
        with self.exchanged():
            self.engine.refresh()
            yield
        self.engine.refresh()

    def save(self, folder: Path, ranks: Ranks) -> None:
        """Write it by tensor name, every rank its share of the tensors; all must take part."""
        own = {}
        with self.exchanged():
            for number, name in enumerate(self.engine.live):
                average = self.engine.full(name)
                if number % ranks.world == ranks.rank:
                    own[name] = average.cpu().clone()
        write_tensors(folder / f"ema-{ranks.rank:05d}.safetensors", own)

    def load(self, folder: Path) -> None:
        """Read what any number of ranks wrote."""
        with self.exchanged():
            for path in sorted(folder.glob("ema-*.safetensors")):
                with safe_open(path, "pt") as file:
                    for name in file.keys():  # noqa: SIM118 - not a dict
                        self.engine.set_full(name, file.get_tensor(name))

    def _exchange(self) -> None:
        for part, master in zip(self.parts, self.engine.masters, strict=True):
            one, other = part.view(-1), master.view(-1)
            for begin in range(0, one.numel(), _CHUNK):
                a, b = one[begin : begin + _CHUNK], other[begin : begin + _CHUNK]
                kept = a.clone()
                a.copy_(b)
                b.copy_(kept)
