"""Conversion: weights of any readable form -> a model folder, tensor by tensor unchanged unless told otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import torch

from pbe.convert_command import ConvertConfig
from pbe.export import Layout, export_model, misfits
from pbe.loading import build_model
from pbe.model import PaintByExample, count_parameters
from pbe.parts import choose_tower, choose_vae, refuse_misfits
from pbe.train_config import NONE
from pbe.weights import NOTE_FILE, Weights, model_folder, read_weights
from pipeline.errors import InputError

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_MB = 1e6


def convert(config: ConvertConfig, *, say: Callable[[str], None]) -> Layout:
    """Read a model and write it; tell `say` what is done. Gives the layout written.

    Raises:
        InputError: the model cannot be read, is not whole, or does not fit the layout, or the place to write is taken.
    """
    out = Path(config.out).absolute()
    _refuse_place(out, config)
    say(f"reading {config.model}")
    weights = read_weights(config.model)
    model = build_model(weights)
    vae = choose_vae(weights, config.vae or _none_if_absent(weights.vae, config))
    tower = choose_tower(weights, config.clip or _none_if_absent(weights.tower, config))
    refuse_misfits(weights.source, model, vae=vae, tower=tower)
    parts = {"UNet": model.unet, "conditioner": model.conditioner, "CLIP vision tower": tower, "VAE": vae}
    _cast(parts, config.dtype)
    say(f"writing {out}")
    layout = _write(out, config, weights, model, vae=vae, tower=tower)
    for line in _summary(parts, weights):
        say(line)
    reasons = misfits(model.config, vae=vae, tower=tower)
    why = f", since {'; '.join(reasons)}" if reasons else ""
    say(f"{out}: {'diffusers layout' if layout == 'diffusers' else f'our own layout{why}'}")
    return layout


def _refuse_place(out: Path, config: ConvertConfig) -> None:
    """Refuse to write over what this project did not write, and over the model itself.

    Raises:
        InputError: naming another place to give.
    """
    taken = out.is_dir() and any(out.iterdir()) and not (out / NOTE_FILE).exists()
    if taken or (out.exists() and not out.is_dir()):
        raise InputError(f"--out {config.out}: holds something other than a model of this project; give a new folder")
    source = Path(config.model)
    if source.is_dir() and out.resolve() in (source.resolve(), model_folder(source).resolve()):
        raise InputError(f"--out {config.out}: is the model itself; give another folder")


def _none_if_absent(tensors: object, config: ConvertConfig) -> str:
    """Do without an encoder that the model lacks, where the layout can."""
    return "" if tensors or config.layout == "diffusers" else NONE


def _cast(parts: dict[str, Any], dtype: str) -> None:
    """Round all parts in place; `keep`: nothing.

    Raises:
        InputError: a number does not fit.
    """
    if dtype == "keep":
        return
    for name, part in parts.items():
        if part is not None and not all(torch.isfinite(value).all() for value in part.to(_DTYPES[dtype]).parameters()):
            raise InputError(f"--dtype {dtype}: the {name} holds numbers that are not finite in it; give bf16 or keep")


def _write(
    out: Path, config: ConvertConfig, weights: Weights, model: PaintByExample, *, vae: Any | None, tower: Any | None
) -> Layout:
    try:
        return export_model(
            out,
            model.state_dict(),
            model.config,
            vae=vae,
            tower=tower,
            weights=weights.note.get("weights", "unknown"),
            step=weights.note.get("step"),
            layout=None if config.layout == "auto" else config.layout,
            encoders=weights.note.get("encoders"),
        )
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"--out {config.out}: cannot be written ({error}); make room or give another folder"
        ) from error


def _summary(parts: dict[str, Any], weights: Weights) -> list[str]:
    """Tell tensors, parameters, precisions and size of each part, a line each."""
    lines = []
    for name, part in parts.items():
        if part is None:
            lines.append(f"  {name:17} absent")
            continue
        tensors = list(part.state_dict().values())
        kinds = ", ".join(sorted({str(value.dtype).removeprefix("torch.") for value in tensors}))
        size = sum(value.numel() * value.element_size() for value in tensors) / _MB
        lines.append(
            f"  {name:17} {count_parameters(part):>11,} parameters in {len(tensors):3} tensors, {kinds}, {size:,.1f} MB"
        )
    return [*lines, f"  weights           {weights.note.get('weights', 'unknown')}, step {weights.note.get('step')}"]
