"""Reading: a folder, file or hub id of published or own weights -> tensors under diffusers' names, and configs.

Reads diffusers' folders of Stable Diffusion v1 and Paint by Example (.safetensors or .bin, encoder keys of transformers
4 and 5), checkpoints of the original code (`.ckpt`), and what `pbe.weights.export` writes. Never unpickles more than
tensors.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pbe.model.prediction import Prediction
from pbe.model.schedule import NOISE_SCHEDULE
from pbe.weights.averages import (
    AVERAGE_FOLDER,
    AVERAGE_PREFIX,
    OF_THE_UNET,
    RAW_VARIANTS,
    Choice,
    average_names,
    choose_folder,
    choose_unet,
    describe_choice,
    refuse_absent,
)
from pbe.weights.ldm_buffers import average_counts
from pbe.weights.ldm_checkpoint import (
    CONDITIONER_AVERAGE,
    conditioner_from_ldm,
    is_ldm,
    tower_from_ldm,
    unet_from_ldm,
    vae_from_ldm,
)
from pbe.weights.ldm_names import CONDITIONER_PREFIXES, UNET_PREFIX
from pbe.weights.model_files import FORMS, PATHS, is_paint_by_example, model_folder, read_json
from pbe.weights.own_note import NOTE_FILE, SCHEDULER_CONFIG, read_note, read_prediction
from pipeline.encoders.names import placed, refuse_missing
from pipeline.errors import InputError
from pipeline.tensors.hub import fetch
from pipeline.tensors.names import Tensors, modern_vae, plain_tower, under
from pipeline.tensors.reading import read_part, read_tensors
from pipeline.tensors.torch_files import load_torch_file
from pipeline.tensors.weight_files import FOLDER_SUFFIXES, PICKLED, find_weights, weight_patterns

_PARTS = ("unet", "conditioner", "image_encoder", "vae")
_SCHEDULE = {**NOISE_SCHEDULE, "trained_betas": None, "rescale_betas_zero_snr": False}


@dataclass(frozen=True)
class Weights:
    """Tensors under diffusers' names, and what is known about the model that they belong to."""

    source: str
    unet: Tensors = field(default_factory=dict)
    """Empty: weights of an encoder alone."""
    conditioner: Tensors = field(default_factory=dict)
    """Empty: weights of Stable Diffusion."""
    tower: Tensors = field(default_factory=dict)
    """CLIP vision tower, names without `vision_model.`, or what another exemplar encoder has; empty: none."""
    vae: Tensors = field(default_factory=dict)
    """Empty: none."""
    unet_config: Mapping[str, Any] | None = None
    """diffusers' config; None: an original checkpoint, Stable Diffusion v1 by default."""
    tower_config: Mapping[str, Any] | None = None
    """transformers' config; None: ViT-L/14."""
    vae_config: Mapping[str, Any] | None = None
    """diffusers' config; None: Stable Diffusion v1's."""
    prediction: Prediction = "epsilon"
    """What the UNet predicts; checkpoints of the original code know only noise."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """What `pbe.weights.export` recorded, and `weights`: raw or ema, where that is known."""
    taken: str = ""
    """For the log: which of the weights that lie side by side these are; empty: there are no others."""


def read_weights(source: str, *, choice: Choice = "auto") -> Weights:
    """Read weights of any known layout.

    Args:
        source: a folder, a file or a hub id; the folder of a training means its `model/`.
        choice: raw weights or their moving average, where both are there; `auto`: those under the plain names.

    Raises:
        InputError: it does not exist, its layout is unknown, it cannot be read safely, or lacks what was chosen.
    """
    refuse_missing(source, source, PATHS)
    path = Path(placed(source))
    if path.is_dir():
        folder, is_pair = choose_folder(model_folder(path), choice)
        weights = _read_folder(folder, str(folder), choice)
        return replace(weights, taken=describe_choice(weights.note["weights"])) if is_pair else weights
    if path.is_file():
        return _read_file(path, choice)
    parts, extra = [*_PARTS], ["model_index.json", SCHEDULER_CONFIG, NOTE_FILE]
    if choice == "ema":
        parts.append(AVERAGE_FOLDER)
    if choice != "auto":
        named = (name for kind in RAW_VARIANTS for suffix in FOLDER_SUFFIXES for name in weight_patterns(kind, suffix))
        extra += [f"unet/{name}" for name in named]
    return _read_folder(fetch(source, parts=parts, extra=extra, what=source, hint=FORMS), source, choice)


def _read_file(path: Path, choice: Choice) -> Weights:
    state = read_tensors(path)
    if not is_ldm(state):
        raise InputError(f"{path}: no tensor is named {UNET_PREFIX}*; {FORMS}")
    averages = average_names(state)
    if choice == "ema" and not averages:
        raise refuse_absent(choice, str(path), f"no tensor is named {AVERAGE_PREFIX}*")
    kind = "" if not averages else "ema" if choice == "ema" else "raw"
    note: dict[str, Any] = {"weights": kind} if kind else {}
    taken = describe_choice(kind) if kind else ""
    if choice == "ema":
        beside = load_torch_file(path, beside=CONDITIONER_AVERAGE) if path.suffix in PICKLED else {}
        state |= {name: state[average] for name, average in averages.items()}
        state |= {name: tensor for name, tensor in beside.items() if name.startswith(CONDITIONER_PREFIXES)}
        bare = _not_averaged(state, averages.keys() | beside.keys())
        taken = describe_choice(kind, raw=bare, of=OF_THE_UNET if bare else "")
        note["average"] = average_counts(state)
    try:
        conditioner = conditioner_from_ldm(state)
        return Weights(
            source=str(path),
            unet=unet_from_ldm(state),
            conditioner=conditioner,
            tower=tower_from_ldm(state) if conditioner else {},
            vae=vae_from_ldm(state),
            note=note,
            taken=taken,
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}; {FORMS}") from error


def _not_averaged(state: Tensors, averages: Set[str]) -> list[str]:
    """Describe which parts of a checkpoint have no average, or not as a whole."""
    described = []
    for part, prefixes in (("its UNet", (UNET_PREFIX,)), ("its conditioner", CONDITIONER_PREFIXES)):
        own = [name for name in state if name.startswith(prefixes)]
        bare = [name for name in own if name not in averages]
        if bare:
            described.append(part if len(bare) == len(own) else f"{bare[0]} ({len(bare)} of {len(own)} of {part})")
    return described


def _read_folder(folder: Path, source: str, choice: Choice) -> Weights:
    if not (folder / "unet").is_dir():
        raise InputError(f"{source}: has no unet folder; {FORMS}")
    encoder, encoder_config = _read_encoder(folder)
    vae = folder / "vae"
    has_vae = find_weights(vae) is not None
    _refuse_foreign_schedule(folder)
    note = read_note(folder)
    chosen = choose_unet(folder, note, choice, what=source)
    conditioner = {key: value for key, value in encoder.items() if not key.startswith("model.")}
    raw = ["its conditioner"] if conditioner else []
    return Weights(
        source=source,
        unet=read_tensors(chosen.weights) if chosen.weights else read_part(folder / "unet"),
        conditioner=conditioner,
        tower=plain_tower(under(encoder, "model.")),
        vae=modern_vae(read_part(vae)) if has_vae else {},
        unet_config=read_json(folder / "unet" / "config.json"),
        tower_config=encoder_config,
        vae_config=read_json(vae / "config.json") if has_vae else None,
        prediction=read_prediction(folder),
        note={**note, "weights": chosen.kind} if chosen.kind else note,
        taken=describe_choice(chosen.kind, raw=raw, of=OF_THE_UNET) if chosen.beside else "",
    )


def _refuse_foreign_schedule(folder: Path) -> None:
    """Refuse a model that learned with another noise schedule.

    Raises:
        InputError: naming the setting.
    """
    path = folder / SCHEDULER_CONFIG
    if not path.is_file():
        return
    config = read_json(path)
    for name, expected in _SCHEDULE.items():
        if config.get(name, expected) != expected:
            raise InputError(
                f"{path}: {name} is {config[name]!r}; give a model with {expected!r}, like Stable Diffusion v1"
            )


def _read_encoder(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    """Read conditioner and CLIP tower (`model.*`) in diffusers' layout or in ours; nothing from Stable Diffusion's."""
    own, encoder = folder / "conditioner", folder / "image_encoder"
    if not own.is_dir() and not is_paint_by_example(folder):
        return {}, None
    tensors = read_part(encoder) if encoder.is_dir() else {}
    if own.is_dir():
        tensors = {f"model.{key}": value for key, value in tensors.items()} | read_part(own)
    return tensors, read_json(encoder / "config.json") if encoder.is_dir() else None
