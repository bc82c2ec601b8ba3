"""Train command: a command line -> a training, and a user's mistake -> one message and an exit code."""

import os
import re
from dataclasses import replace
from pathlib import Path

import tyro

from pbe.training.config import PRESETS, TrainConfig, switched
from pipeline.command import guard
from pipeline.errors import InputError
from pipeline.storage.urls import absolute, filesystem, is_local

GO_ON = "run the same command again to go on from the newest checkpoint"


def main(arguments: list[str]) -> int:
    """Train as the command line says; returns the exit code."""
    return guard(lambda: _train(arguments), go_on=GO_ON)


def _train(arguments: list[str]) -> int:
    config = parse_train_config(arguments)
    from pbe.training.session import (
        train,  # torch and DeepSpeed take seconds, which --help and refusals need not wait for
    )

    return train(config)


def parse_train_config(arguments: list[str]) -> TrainConfig:
    """Read `[PRESET] [--flags]`; paths become absolute, the switches are carried out.

    Raises:
        InputError: the preset is unknown, or a value or combination is not allowed.
    """
    flags = [flag for flag in arguments if not re.fullmatch(r"--local[_-]rank=\d+", flag)]  # DeepSpeed adds it
    preset = "tiny"
    if flags and not flags[0].startswith("-"):
        preset, flags = flags[0], flags[1:]
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}: give one of {', '.join(PRESETS)}, then --flags")
    config = tyro.cli(
        TrainConfig,
        args=flags,
        default=PRESETS[preset],
        prog=f"train.py [{'|'.join(PRESETS)}]",
        description=f"{TrainConfig.__doc__} Preset: {preset}. Run the same command again to go on.",
        console_outputs=os.environ.get("RANK", "0") == "0",
    )
    out = config.out or f"runs/train-{preset}"
    if not is_local(out):
        raise InputError(f"--out {out}: give a folder on a disk that all ranks share; checkpoints are renamed there")
    data = absolute(config.data)
    if is_local(data) and Path(out).resolve().is_relative_to(Path(filesystem(data)[1]).resolve()):
        raise InputError(f"--out {out}: lies in the dataset; give another folder")
    return switched(replace(config, out=str(Path(out).absolute()), data=data))
