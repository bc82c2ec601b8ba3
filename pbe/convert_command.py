"""Convert command: a command line -> a model folder, and a user's mistake -> one message and an exit code."""

from dataclasses import dataclass
from typing import Literal

import tyro

from pipeline.command import guard
from pipeline.errors import InputError
from pipeline.storage.urls import is_local


@dataclass(frozen=True)
class ConvertConfig:
    """Convert a Paint by Example model between the forms that it is published in, tensor by tensor unchanged."""

    model: str
    """The model: diffusers' folder or ours, a training's folder, a .ckpt of the original code, or a hub id such as
    Fantasy-Studio/Paint-by-Example."""
    out: str
    """The folder to write, or a file NAME.ckpt for the original code. A model folder of this project is replaced, all
    else is kept."""
    layout: Literal["auto", "diffusers", "pbe", "ckpt"] = "auto"
    """diffusers' Paint by Example folder, our own layout, the original code's checkpoint, or, by itself: a checkpoint
    where --out ends in .ckpt, else diffusers' folder if the parts fit it, else ours."""
    vae: str = ""
    """A VAE in place of the model's: folder, hub id (`id:subfolder`), .ckpt, `untrained`; `none`: without."""
    clip: str = ""
    """A CLIP vision tower in place of the model's, likewise."""
    dtype: Literal["keep", "fp32", "fp16", "bf16"] = "keep"
    """Precision to write; `keep`: each tensor's own."""

    def __post_init__(self) -> None:
        """Refuse places that cannot be meant.

        Raises:
            InputError: naming the flag, the value and what to give.
        """
        if not self.model or not self.out:
            raise InputError("--model and --out: give both, the model to read and the folder to write")
        if not is_local(self.out):
            raise InputError(f"--out {self.out}: give a folder on a local disk; it is renamed there when it is whole")
        if self.layout != "auto" and (self.layout == "ckpt") != self.to_checkpoint:
            kind = "a file that ends in .ckpt" if self.layout == "ckpt" else "a folder, not a .ckpt"
            raise InputError(f"--out {self.out}: for --layout {self.layout}, give {kind}")

    @property
    def to_checkpoint(self) -> bool:
        """Whether one file for the original code is wanted."""
        return self.out.endswith(".ckpt")


def main(arguments: list[str]) -> int:
    """Convert as the command line says; returns the exit code."""
    return guard(lambda: _convert(arguments), go_on="--out is as it was")


def _convert(arguments: list[str]) -> int:
    config = tyro.cli(ConvertConfig, args=arguments, prog="python -m pbe.convert")
    from pbe.weights.conversion import convert  # torch takes seconds, which --help and refusals need not wait for

    convert(config, say=lambda line: print(line, flush=True))
    return 0
