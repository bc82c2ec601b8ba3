"""Small trainings on a synthetic dataset, by groups of rank processes, and what they leave."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pbe.training.run_folder import METRICS, read_rows
from pipeline.run_log import RUNS
from tests.pbe.training.rank_group import RankGroup

ALL, SPOILT = (f"tests.pbe.training.preloaded.{name}" for name in ("train_all", "train_spoilt"))


def flags(place: Path, out: str, *more: str) -> list[str]:
    """A small training of 8 steps; later flags win."""
    base = "--batch-size 8 --lanes 4 --block 3 --workers 0 --seed 5 --warmup-steps 2 --eval-every 0 --steps 8 "
    base += "--save-every 2 --vae none --clip none --mapper-blocks 1 --collective-timeout 45"
    return ["smoke", *base.split(), "--data", str(place / "data"), "--out", str(place / out), *more]


def run(place: Path, *command_lines: list[str], world: int = 1) -> list[int | None]:
    with RankGroup(place / "log", ALL, [list(command_lines)], world=world) as group:
        return group.wait()


def run_spoilt(place: Path, line: list[str], *, spoilt: str = "photo1x", world: int = 1) -> list[int | None]:
    """Train with a model that gives no number as the loss of samples whose keys begin so."""
    with RankGroup(place / "log", SPOILT, [spoilt, [line]], world=world) as group:
        return group.wait()


def log(place: Path) -> str:
    return (place / "log").read_text() if (place / "log").exists() else ""


def losses(out: Path) -> list[tuple[int, float, str]]:
    return [(row["step"], row["loss"], row["batch"]) for row in read_rows(out / METRICS)]


def runs(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / RUNS).read_text().splitlines()]


def exported(out: Path, part: str = "unet/diffusion_pytorch_model", *, model: str = "model") -> dict[str, torch.Tensor]:
    return load_file(out / model / f"{part}.safetensors")
