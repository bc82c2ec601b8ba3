"""Config: the command line of `python -m pbe.evaluate ablation` -> what is trained, and how it is evaluated.

    ablation [PRESET] [METHOD...] --data DATASET --out RUN [--flags] [-- trainer's flags]

A field's docstring is its flag's help. Flags that are not here are the evaluation's. Imports no torch.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from pbe.evaluation.ablation.rows import NAMES
from pbe.evaluation.config import EvaluateConfig
from pbe.training.config import PRESETS, TrainConfig, switched
from pipeline.command import is_given, parse_preset
from pipeline.encoders.names import NONE
from pipeline.errors import InputError
from pipeline.storage.urls import absolute, absolute_output, is_local

PROG = "python -m pbe.evaluate ablation"
EVALUATION = "evaluation"
PRESET = "smoke"  # where none is named: that of a small model which starts from nothing
# What the rows differ in, and what the other flags of the command decide.
OWN = (
    *("data", "out", "steps", "resume", "export_only"),
    *("naive", "prior", "augmentation", "bottleneck", "guidance_drop", "init_from"),
)


@dataclass(frozen=True)
class AblationConfig:
    """Train the paper's ablation (naive; + prior; + augmentation; + bottleneck; + guidance), and evaluate its rows into
    one table. Other flags are those of `python -m pbe.evaluate`; without --bench or --bench-from the cases are cut from
    the dataset's validation split. After `--` follow flags of the trainer, the same for all rows."""

    data: str
    """The dataset to train on, made with --keep-source: a folder or any fsspec URL."""
    out: str
    """A folder for trainings and evaluation. Run again, the command goes on."""
    steps: int = 0
    """Optimiser steps of each row. 0: the preset's."""
    prior: str = ""
    """Stable Diffusion's weights, as the trainer's --init-from takes them. Without them the row +prior is unavailable,
    and the later rows start at random and say so."""
    sampling_steps: int = 50
    """Denoising steps of the evaluation."""


@dataclass(frozen=True)
class Ablation:
    """What the command line asks for.

    Args:
        preset: of the trainer.
        trainer: flags after `--`.
        steps: of each row.
        evaluation: its first methods stand for the five rows, by their names.
    """

    preset: str
    data: str
    out: str
    steps: int
    prior: str
    trainer: tuple[str, ...]
    evaluation: EvaluateConfig


def parse_ablation(arguments: list[str]) -> Ablation:
    """Read the command line; paths become absolute.

    Raises:
        InputError: a value or combination is not allowed.
    """
    at = arguments.index("--") if "--" in arguments else len(arguments)
    own, trainer = arguments[:at], arguments[at + 1 :]
    preset = own.pop(0) if own and not own[0].startswith("-") else PRESET
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}: give one of {', '.join(PRESETS)}, then methods and --flags")
    config, others = tyro.cli(
        AblationConfig, args=own, prog=f"{PROG} [PRESET]", description=AblationConfig.__doc__, return_unknown_args=True
    )
    out, data = absolute_output("--out", config.out), absolute(config.data)
    if not is_local(out):
        raise InputError(f"--out {config.out}: give a folder on a disk; the trainer renames checkpoints there")
    if is_local(data) and Path(out).resolve().is_relative_to(Path(data).resolve()):
        raise InputError(f"--out {config.out}: lies in the dataset; give another folder")
    base = parse_row([preset, *trainer])
    _refuse_decided(base, PRESETS[preset])
    if config.steps < 0:
        raise InputError(f"--steps {config.steps}: give a number from 1; 0 takes the preset's")
    return Ablation(
        preset=preset,
        data=data,
        out=out,
        steps=config.steps or base.steps,
        prior=config.prior,
        trainer=tuple(trainer),
        evaluation=_parse_evaluation(others, data=data, out=out, sampling_steps=config.sampling_steps),
    )


def parse_row(arguments: list[str]) -> TrainConfig:
    """Read `PRESET [--flags]` as the trainer does, without its paths.

    Raises:
        InputError: a value or combination is not allowed.
    """
    _, config = parse_preset(TrainConfig, PRESETS, arguments, prog=f"{PROG} ... --")
    return switched(config)


def _parse_evaluation(others: list[str], *, data: str, out: str, sampling_steps: int) -> EvaluateConfig:
    """Read the evaluation's flags; methods stand before them."""
    given = [*NAMES, *others, "--out", f"{out}/{EVALUATION}", "--steps", str(sampling_steps)]
    if not is_given("--bench", others) and not is_given("--bench-from", others):
        given += ["--bench-from", data]
    return tyro.cli(EvaluateConfig, args=given, prog=PROG)


def _refuse_decided(base: TrainConfig, preset: TrainConfig) -> None:
    """Refuse trainer's flags that the command decides itself, and trainings that could not be evaluated.

    Raises:
        InputError: naming the flag.
    """
    for name in OWN:
        if getattr(base, name) != getattr(switched(preset), name):
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag}: of each row is decided by the ablation itself; leave it out after --")
    for flag, value in (("--vae", base.vae), ("--exemplar-encoder", base.clip)):
        if value == NONE:
            raise InputError(f"{flag} {NONE}: a model without it cannot edit, nor be evaluated; give the dataset's")
