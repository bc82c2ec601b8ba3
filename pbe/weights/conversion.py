"""Conversion: weights of any readable form -> a folder or checkpoint, no tensor changed unless asked for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from pbe.weights.averages import Choice, describe_single, noted_counts
from pbe.weights.building import build_model
from pbe.weights.export import export_model
from pbe.weights.ldm_checkpoint import write_checkpoint
from pbe.weights.misfits import diffusers_misfits, original_misfits, refuse_misfits
from pbe.weights.named_encoders import choose_tower, choose_vae
from pbe.weights.parts import Parts
from pbe.weights.reading import read_weights
from pipeline.encoders.efficientnet_pca import EfficientNetPca
from pipeline.encoders.names import NONE
from pipeline.errors import InputError
from pipeline.storage.urls import absolute_output
from pipeline.tensors.fitting import refuse_overflow

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_MB = 1e6
CHECKPOINT = ".ckpt"
Layout = Literal["auto", "diffusers", "pbe", "ckpt"]


def convert(
    model: str,
    out: str,
    *,
    layout: Layout,
    vae: str,
    clip: str,
    weights: Choice,
    with_ema: bool,
    dtype: Literal["keep", "fp32", "fp16", "bf16"],
    say: Callable[[str], None],
) -> None:
    """Read a model and write it.

    Args:
        model, vae, clip: see `pbe.weights.parts.load_parts`.
        out: a folder, or a file NAME.ckpt for the original code; a link is followed and stays.
        layout: `auto`: a checkpoint where `out` is one, else diffusers' folder if the parts fit it, else ours.
        weights: raw or their moving average, where both are there; see `pbe.weights.averages`.
        with_ema: write the raw weights and their moving average, both into one checkpoint.
        dtype: `keep`: each tensor's own.
        say: reports what is done, line by line.

    Raises:
        InputError: the model cannot be read, is incomplete, does not fit the layout, or cannot be written.
    """
    place = Path(absolute_output("--out", out)).resolve()
    to_checkpoint = out.endswith(CHECKPOINT)
    say(f"reading {model}")
    choice: Choice = "raw" if with_ema else weights
    needs_encoders = layout == "diffusers" or to_checkpoint
    parts = _read(model, vae, clip, choice, needs_encoders=needs_encoders, needs_both=with_ema)
    average = _read_average(model) if with_ema else None
    if parts.taken and not average:
        say(parts.taken)
    _cast(_named(parts), dtype)
    if average:
        _cast(
            {"average of the UNet": average.model.unet, "average of the conditioner": average.model.conditioner}, dtype
        )
    say(f"writing {place}")
    with _room(out):
        written = _write_checkpoint(place, parts, average) if to_checkpoint else _write_folder(place, layout, parts)
    for line in _summary(parts):
        say(f"{line} and their moving average" if average and line.lstrip().startswith("weights ") else line)
    say(f"{place}: {written}")


def _read(source: str, vae: str, clip: str, choice: Choice, *, needs_encoders: bool, needs_both: bool) -> Parts:
    """Read the parts, each tensor in its own precision; a missing encoder is left out where the layout allows it.

    Raises:
        InputError: something is missing, or does not fit; raw weights and their average were both to be there.
    """
    weights = read_weights(source, choice=choice)
    if needs_both and not weights.taken:
        raise describe_single(source)
    missing = "" if needs_encoders else NONE
    model = build_model(weights)
    vae_module = choose_vae(weights, vae or ("" if weights.vae else missing))
    tower = choose_tower(weights, clip or ("" if weights.tower else missing))
    refuse_misfits(weights.source, model, vae=vae_module, tower=tower)
    return Parts(model, vae_module, tower, weights.source, weights.note, weights.taken)


def _read_average(source: str) -> Parts:
    """Read the moving average that lies beside raw weights, without encoders."""
    weights = read_weights(source, choice="ema")
    return Parts(build_model(weights), None, None, weights.source, weights.note)


def _named(parts: Parts) -> dict[str, Any]:
    return {
        "UNet": parts.model.unet,
        "conditioner": parts.model.conditioner,
        "exemplar encoder": parts.tower,
        "VAE": parts.vae,
    }


def _cast(named: Mapping[str, Any], dtype: str) -> None:
    """Round parts in place; `keep`: nothing.

    Raises:
        InputError: a number does not fit.
    """
    if dtype == "keep":
        return
    for name, part in named.items():
        if part is not None:
            rounded = part.to(_DTYPES[dtype]).state_dict()
            refuse_overflow(rounded, f"--dtype {dtype}: the {name}", remedy="give bf16 or keep")


@contextmanager
def _room(out: str) -> Iterator[None]:
    """Turn what each library raises on a full disk into one error.

    Raises:
        InputError: --out cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise InputError(f"--out {out}: cannot be written ({error}); make room or give another place") from error


def _write_checkpoint(out: Path, parts: Parts, average: Parts | None) -> str:
    model, vae, tower = parts.model, parts.vae, parts.tower
    reasons = diffusers_misfits(model.config, vae=vae, tower=tower) or original_misfits(model, vae=vae, tower=tower)
    if reasons or vae is None or tower is None:
        raise InputError(f"{out}: the original code cannot hold this model: {'; '.join(reasons)}")
    write_checkpoint(
        out,
        model.state_dict(),
        vae=vae.state_dict(),
        tower=tower.state_dict(),
        step=parts.note.get("step"),
        average=average.model.state_dict() if average else None,
        counts=noted_counts(average.note) if average else {},
    )
    return "checkpoint of the original code" + (", with the names of its EMA" if average else "")


def _write_folder(out: Path, layout: Layout, parts: Parts) -> str:
    written = export_model(
        out,
        parts.model.state_dict(),
        parts.model.config,
        vae=parts.vae,
        tower=parts.tower,
        weights=parts.note.get("weights", "unknown"),
        step=parts.note.get("step"),
        layout=None if layout == "auto" or layout == "ckpt" else layout,
        encoders=parts.note.get("encoders"),
        hole_sides=parts.hole_sides,
        average=parts.note.get("average"),
        prior=bool(parts.note.get("prior")),
    )
    if written == "diffusers":
        return "diffusers layout"
    reasons = diffusers_misfits(parts.model.config, vae=parts.vae, tower=parts.tower)
    return f"our own layout, since {'; '.join(reasons)}" if reasons else "our own layout"


def _summary(parts: Parts) -> list[str]:
    """List parameters, tensors, precisions and size of each part, a line each."""
    lines = [f"  {name:17} {'missing' if part is None else _size(part)}" for name, part in _named(parts).items()]
    step = "" if parts.note.get("step") is None else f" of step {parts.note['step']:,}"
    predicts = ", predicts velocities (v)" if parts.model.config.prediction == "v" else ""
    return [*lines, f"  weights           {parts.weights}{step}{predicts}"]


def _size(part: torch.nn.Module) -> str:
    own = part.own_tensors() if isinstance(part, EfficientNetPca) else part.state_dict()  # what is written of it
    tensors = list(own.values())
    parameters = sum(value.numel() for name, value in part.named_parameters() if name in own)
    kinds = ", ".join(sorted({str(value.dtype).removeprefix("torch.") for value in tensors}))
    size = sum(value.numel() * value.element_size() for value in tensors) / _MB
    return f"{parameters:>11,} parameters in {len(tensors):3} tensors, {kinds}, {size:,.1f} MB"
