"""Loading: weights by name -> modules: a model to train on, or model and encoders to edit with."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from pbe.model.conditioner import ConditionerConfig
from pbe.model.paint_by_example import ModelConfig, PaintByExample
from pbe.model.unet import UNET_SIZES, input_channels, unet_config
from pbe.weights.model_files import FORMS
from pbe.weights.reading import Tensors, Weights
from pipeline.encoders.vae import VAE_CLASSES
from pipeline.errors import InputError

_NAMED = 4  # tensors that an error lists
VIT_L_14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
_CLIP_KEYS = {*VIT_L_14, "hidden_act", "layer_norm_eps", "num_channels", "dtype", "torch_dtype"}
_LAYERS, _MOST_LAYERS = ("num_hidden_layers", "layers_per_block", "transformer_layers_per_block"), 200
SD_V1_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}


def initialise(model: PaintByExample, weights: Weights) -> list[str]:
    """Start a model from weights of the same sizes.

    A UNet of Stable Diffusion grows from c to 2c+1 input channels: the new ones, masked latent and mask, start at zero.
    A conditioner that the weights lack stays at its random start.

    Returns:
        One line a loaded part, for the log.

    Raises:
        InputError: tensors are missing, unexpected or of another kind; names them.
    """
    unet, said = _grown(weights, channels=model.unet.config.in_channels, latent_channels=model.unet.config.out_channels)
    load_exactly(model.unet, unet, f"{weights.source}: UNet")
    if weights.conditioner:
        load_exactly(model.conditioner, weights.conditioner, f"{weights.source}: conditioner")
        said.append(f"conditioner: {len(weights.conditioner)} tensors of {weights.source}")
    return said


def build_model(weights: Weights) -> PaintByExample:
    """Build the Paint by Example model that the weights describe, for editing, in the precision of the weights.

    Raises:
        InputError: the weights have no conditioner, or do not fit together.
    """
    config = described_config(weights)
    with _described(f"{weights.source}: UNet"), torch.device("meta"):
        _refuse_deep(config.unet)
        model = PaintByExample(config)
    adopt(model.unet, weights.unet, f"{weights.source}: UNet")
    adopt(model.conditioner, weights.conditioner, f"{weights.source}: conditioner")
    return model.eval()


def described_config(weights: Weights) -> ModelConfig:
    """Tell the config of the Paint by Example model that the weights belong to.

    Raises:
        InputError: they have no exemplar conditioner.
    """
    if "proj_out.weight" not in weights.conditioner:
        raise InputError(f"{weights.source}: has no exemplar conditioner, so it cannot edit by example; {FORMS}")
    unet = dict(weights.unet_config or unet_config(UNET_SIZES["sd-v1"], latent_channels=4))
    with _described(f"{weights.source}: conditioner"):
        cross_dim, width = weights.conditioner["proj_out.weight"].shape
    blocks = {key.split(".")[2] for key in weights.conditioner if key.startswith("mapper.blocks.")}
    conditioner = ConditionerConfig(width=width, cross_dim=cross_dim, blocks=len(blocks))
    return ModelConfig(unet, conditioner, bottleneck=weights.note.get("bottleneck", True))


def build_tower(weights: Weights) -> Any:
    """Build the CLIP vision tower that lies in the weights, frozen, in their precision.

    Raises:
        InputError: there is none, or it does not fit its config.
    """
    if not weights.tower:
        raise InputError(f"{weights.source}: holds no CLIP vision tower; name one with --clip")
    what = f"{weights.source}: CLIP vision tower"
    with _described(what):
        told = {key: value for key, value in (weights.tower_config or VIT_L_14).items() if key in _CLIP_KEYS}
        _refuse_deep(told)
        config = transformers.CLIPVisionConfig(**told)
        with torch.device("meta"):
            sketch = transformers.CLIPVisionModel(config)
    nested = any(key.startswith("vision_model.") for key in sketch.state_dict())
    state = {f"vision_model.{key}": value for key, value in weights.tower.items()} if nested else weights.tower
    _refuse_differences(sketch, state, what)  # before memory is taken for what may be no model at all
    tower = transformers.CLIPVisionModel(config)  # with its buffers, which no file holds
    tower.load_state_dict(state, assign=True)
    return tower.eval().requires_grad_(False)


def build_vae(weights: Weights) -> Any:
    """Build the VAE that lies in the weights, frozen, in their precision.

    Raises:
        InputError: there is none, it is of an unknown class, or it does not fit its config.
    """
    if not weights.vae:
        raise InputError(f"{weights.source}: holds no VAE tensors; name a VAE with --vae")
    config = weights.vae_config or SD_V1_VAE
    name = config.get("_class_name", VAE_CLASSES[0])
    if name not in VAE_CLASSES:
        raise InputError(f"{weights.source}: its VAE is {name}; name one of {', '.join(VAE_CLASSES)} with --vae")
    with _described(f"{weights.source}: VAE"), torch.device("meta"):
        _refuse_deep(config)
        numbers = {"scaling_factor": config.get("scaling_factor", 1), "shift_factor": config.get("shift_factor") or 0}
        for part, number in numbers.items():
            if not isinstance(number, int | float):
                raise ValueError(f"{part} {number}")
        vae = getattr(diffusers, name).from_config(config)
    adopt(vae, weights.vae, f"{weights.source}: VAE")
    return vae.eval().requires_grad_(False)


@contextmanager
def _described(what: str) -> Iterator[None]:
    """Make a reason of whatever a library raises on a config that describes no model.

    Raises:
        InputError: naming the part.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{what}: its config describes no model ({reason}); copy it again") from error


def _refuse_deep(config: Mapping[str, Any]) -> None:
    """Refuse, before they are built, more layers than any model has.

    Raises:
        ValueError: naming the number.
    """
    for name in _LAYERS:
        values = config.get(name, 1)
        for value in values if isinstance(values, list | tuple) else [values]:
            if type(value) is int and value > _MOST_LAYERS:
                raise ValueError(f"{name} {value}")


def adopt(module: nn.Module, state: Tensors, what: str) -> None:
    """Make the tensors of a state dict, which must cover the module, its own: nothing is copied or cast.

    Raises:
        InputError: see `load_exactly`.
    """
    _refuse_differences(module, state, what)
    module.load_state_dict(dict(state), assign=True)


def load_exactly(module: nn.Module, state: Tensors, what: str) -> None:
    """Load a state dict that must cover the module, no more and no less.

    Raises:
        InputError: naming what is missing, unexpected or of another kind.
    """
    _refuse_differences(module, state, what)
    module.load_state_dict(dict(state))


def differences(module: nn.Module, state: Tensors) -> list[str]:
    """Say which tensors of a state dict are missing, unexpected or of another kind for the module; empty: none."""
    expected = module.state_dict()
    return [
        *_listed("missing", expected.keys() - state.keys()),
        *_listed("unexpected", state.keys() - expected.keys()),
        *_listed("of another shape", _misshapen(expected, state)),
        *_listed("of whole numbers", _whole(expected, state)),
    ]


def grow_input(weight: torch.Tensor, *, channels: int) -> torch.Tensor:
    """Append input channels of zeros to a convolution: [o, i, k, k] -> [o, channels, k, k]."""
    grown = weight.new_zeros((weight.shape[0], channels, *weight.shape[2:]))
    grown[:, : weight.shape[1]] = weight
    return grown


def _grown(weights: Weights, *, channels: int, latent_channels: int) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Fit conv_in to the model's input channels.

    Raises:
        InputError: the weights take an input that is neither Stable Diffusion's nor Paint by Example's.
    """
    unet = dict(weights.unet)
    said = f"UNet: {len(unet)} tensors of {weights.source}"
    conv_in = unet.get("conv_in.weight")
    if conv_in is None or weights.conditioner:
        return unet, [said]
    if conv_in.shape[1] != latent_channels:
        raise InputError(
            f"{weights.source}: its UNet takes {conv_in.shape[1]} input channels without being Paint by Example's, so "
            f"that their order may not be [noisy latent, masked latent, mask]; start from one with {latent_channels}"
        )
    unet["conv_in.weight"] = grow_input(conv_in, channels=input_channels(latent_channels))
    return unet, [f"{said}; conv_in {latent_channels} -> {channels} channels, the new ones zero"]


def _refuse_differences(module: nn.Module, state: Tensors, what: str) -> None:
    faults = differences(module, state)
    if faults:
        raise InputError(
            f"{what} does not fit this model: {'; '.join(faults)}. Weights and model must have equal sizes"
        )


def _misshapen(expected: Tensors, state: Tensors) -> list[str]:
    return [
        f"{key} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
        for key in expected.keys() & state.keys()
        if state[key].shape != expected[key].shape
    ]


def _whole(expected: Tensors, state: Tensors) -> list[str]:
    return [
        f"{key} {state[key].dtype}"
        for key in expected.keys() & state.keys()
        if expected[key].is_floating_point() > state[key].is_floating_point()
    ]


def _listed(what: str, names: Iterable[str]) -> list[str]:
    names = sorted(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{len(names)} {what} ({', '.join(names[:_NAMED])}{more})"] if names else []
