"""Conversion: weights of any readable form -> a folder or checkpoint, no tensor changed unless told otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pbe.convert_command import ConvertConfig
from pbe.model.paint_by_example import count_parameters
from pbe.weights.building import build_model
from pbe.weights.export import export_model, is_own
from pbe.weights.ldm_writing import write_checkpoint
from pbe.weights.misfits import ldm_misfits, misfits, refuse_misfits
from pbe.weights.parts import Parts, choose_tower, choose_vae
from pbe.weights.reading import model_folder, read_weights
from pipeline.encoders.names import NONE
from pipeline.errors import InputError
from pipeline.storage.urls import filesystem

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_MB = 1e6


def convert(config: ConvertConfig, *, say: Callable[[str], None]) -> None:
    """Read a model and write it; tell `say` what is done.

    Raises:
        InputError: the model cannot be read, is not whole, or does not fit the layout, or the place to write is taken.
    """
    out = Path(filesystem(config.out)[1]).resolve()  # a link's target is written, the link stays
    _refuse_place(out, config)
    say(f"reading {config.model}")
    parts = _read(config)
    _cast(parts, config.dtype)
    say(f"writing {out}")
    written = _write(out, config, parts)
    for line in _summary(parts):
        say(line)
    say(f"{out}: {written}")


def _refuse_place(out: Path, config: ConvertConfig) -> None:
    """Refuse to write over what this project did not write, and over the model itself.

    Raises:
        InputError: naming another place to give.
    """
    if config.to_checkpoint and out.exists():
        raise InputError(f"--out {config.out}: exists already; remove it or give another name")
    if out.exists() and not is_own(out):
        raise InputError(f"--out {config.out}: holds something other than a model of this project; give a new folder")
    source = Path(config.model)
    if source.is_dir():
        model = model_folder(source).resolve()
        if out.is_relative_to(model) or model.is_relative_to(out):
            raise InputError(f"--out {config.out}: is the model itself, or one lies in the other; give another folder")


def _read(config: ConvertConfig) -> Parts:
    """Read the parts, each tensor in its own precision; without an encoder that is absent, where the layout can."""
    weights = read_weights(config.model)
    absent = "" if config.layout == "diffusers" or config.to_checkpoint else NONE
    model = build_model(weights)
    vae = choose_vae(weights, config.vae or ("" if weights.vae else absent))
    tower = choose_tower(weights, config.clip or ("" if weights.tower else absent))
    refuse_misfits(weights.source, model, vae=vae, tower=tower)
    return Parts(model, vae, tower, weights.source, weights.note)


def _named(parts: Parts) -> dict[str, Any]:
    return {
        "UNet": parts.model.unet,
        "conditioner": parts.model.conditioner,
        "CLIP vision tower": parts.tower,
        "VAE": parts.vae,
    }


def _cast(parts: Parts, dtype: str) -> None:
    """Round all parts in place; `keep`: nothing.

    Raises:
        InputError: a number does not fit.
    """
    if dtype == "keep":
        return
    for name, part in _named(parts).items():
        if part is not None and not all(torch.isfinite(value).all() for value in part.to(_DTYPES[dtype]).parameters()):
            raise InputError(f"--dtype {dtype}: the {name} holds numbers that are not finite in it; give bf16 or keep")


def _write(out: Path, config: ConvertConfig, parts: Parts) -> str:
    """Write the model as one file or as a folder; say which it became, and why.

    Raises:
        InputError: the layout cannot hold the model, or there is no room.
    """
    try:
        return _write_checkpoint(out, parts) if config.to_checkpoint else _write_folder(out, config, parts)
    except (OSError, RuntimeError) as error:  # what a full disk is to each library
        raise InputError(f"--out {config.out}: cannot be written ({error}); make room or give another place") from error


def _write_checkpoint(out: Path, parts: Parts) -> str:
    model, vae, tower = parts.model, parts.vae, parts.tower
    reasons = misfits(model.config, vae=vae, tower=tower) or ldm_misfits(model, vae=vae, tower=tower)
    if reasons or vae is None or tower is None:
        raise InputError(f"{out}: the original code cannot hold this model: {'; '.join(reasons)}")
    tensors = {"vae": vae.state_dict(), "tower": tower.state_dict()}
    write_checkpoint(out, model.state_dict(), step=parts.note.get("step"), **tensors)
    return "checkpoint of the original code"


def _write_folder(out: Path, config: ConvertConfig, parts: Parts) -> str:
    layout = export_model(
        out,
        parts.model.state_dict(),
        parts.model.config,
        vae=parts.vae,
        tower=parts.tower,
        weights=parts.note.get("weights", "unknown"),
        step=parts.note.get("step"),
        layout=None if config.layout == "auto" or config.layout == "ckpt" else config.layout,
        encoders=parts.note.get("encoders"),
    )
    if layout == "diffusers":
        return "diffusers layout"
    reasons = misfits(parts.model.config, vae=parts.vae, tower=parts.tower)
    return f"our own layout, since {'; '.join(reasons)}" if reasons else "our own layout"


def _summary(parts: Parts) -> list[str]:
    """Tell parameters, tensors, precisions and size of each part, a line each."""
    lines = [f"  {name:17} {'absent' if part is None else _size(part)}" for name, part in _named(parts).items()]
    step = "" if parts.note.get("step") is None else f" of step {parts.note['step']:,}"
    return [*lines, f"  weights           {parts.weights}{step}"]


def _size(part: torch.nn.Module) -> str:
    tensors = list(part.state_dict().values())
    kinds = ", ".join(sorted({str(value.dtype).removeprefix("torch.") for value in tensors}))
    size = sum(value.numel() * value.element_size() for value in tensors) / _MB
    return f"{count_parameters(part):>11,} parameters in {len(tensors):3} tensors, {kinds}, {size:,.1f} MB"
