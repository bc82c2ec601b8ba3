#!/usr/bin/env python3
"""Train Paint by Example: shards -> checkpoints, metrics and a model folder.

    python pbe/train.py [tiny|smoke|paper|24gb] [--flags]
    deepspeed --hostfile hostfile pbe/train.py paper --data s3://bucket/pbe --out /shared/run
    torchrun --nproc-per-node 8 pbe/train.py paper --data s3://bucket/pbe --out /shared/run

Running the same command again goes on from the newest checkpoint.
"""

import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

from pbe.training.checks import check_training
from pbe.training.config import PRESETS, TrainConfig, switched
from pipeline.command import guard, parse_preset
from pipeline.errors import InputError
from pipeline.storage.urls import absolute, absolute_output, is_local

GO_ON = "run the same command again to go on from the newest checkpoint"


def main(arguments: list[str]) -> int:
    """Train as the command line says; return the exit code."""
    return guard(lambda: _train(arguments), go_on=GO_ON)


def _train(arguments: list[str]) -> int:
    began = time.monotonic()
    config = parse_train_config(arguments)
    check_training(config)
    if os.environ.get("RANK", "0") == "0":
        print("importing torch and DeepSpeed", flush=True)
    from pbe.training.ranks import name_accelerator

    name_accelerator()
    from pbe.evaluation.grid_scores import score_pictures
    from pbe.training.session import train  # torch and DeepSpeed take seconds: not before --help and refusals

    return train(config, began=began, score_pictures=score_pictures)


def parse_train_config(arguments: list[str]) -> TrainConfig:
    """Read `[PRESET] [--flags]`; paths become absolute, the switches are carried out.

    Raises:
        InputError: the preset is unknown, or a value or combination is not allowed.
    """
    own = [flag for flag in arguments if not re.fullmatch(r"--local[_-]rank=\d+", flag)]  # DeepSpeed adds it
    first_rank = os.environ.get("RANK", "0") == "0"
    preset, config = parse_preset(TrainConfig, PRESETS, own, prog="train.py", prints=first_rank)
    out = config.out or f"runs/train-{preset}"
    place = absolute_output("--out", out)
    if not is_local(place):
        raise InputError(f"--out {out}: give a folder on a disk that all ranks share; checkpoints are renamed there")
    data = absolute(config.data)
    if is_local(data) and Path(place).resolve().is_relative_to(Path(data).resolve()):
        raise InputError(f"--out {out}: lies in the dataset; give another folder")
    cache = absolute_output("--cache", config.cache) if config.cache else ""
    if cache and not is_local(cache):
        raise InputError(f"--cache {config.cache}: give a folder on a local disk")
    return switched(replace(config, out=place, data=data, cache=cache))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
