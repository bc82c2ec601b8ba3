"""Building: tensors and configs of encoders -> modules.

A module is first sketched without storage, so that tensors that do not fit are refused before memory is taken.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.encoders.facts import VAE_CLASSES, latent_factor
from pipeline.encoders.libraries import diffusers, transformers
from pipeline.errors import InputError
from pipeline.tensors.fitting import adopt, refuse_differences
from pipeline.tensors.names import Tensors

_LAYERS, _MOST_LAYERS = ("num_hidden_layers", "layers_per_block", "transformer_layers_per_block"), 200


def build_vae(tensors: Tensors, config: Mapping[str, Any], what: str) -> Any:
    """Build a VAE, frozen, in the precision of its tensors.

    Args:
        config: diffusers' config.
        what: names it in errors.

    Raises:
        InputError: it is of an unknown class, does not fit its config, or holds numbers that are not finite.
    """
    name = config.get("_class_name", VAE_CLASSES[0])
    if name not in VAE_CLASSES:
        raise InputError(f"{what}: its class is {name}; give one of {', '.join(VAE_CLASSES)} with --vae")
    with described(what), torch.device("meta"):
        refuse_deep(config)
        numbers = {"scaling_factor": config.get("scaling_factor", 1), "shift_factor": config.get("shift_factor") or 0}
        for part, number in numbers.items():
            if not isinstance(number, int | float):
                raise ValueError(f"{part} {number}")
        vae = getattr(diffusers, name).from_config(config).eval()
        side = latent_factor(vae.config)
        vae.decode(torch.zeros(1, vae.config.latent_channels, 2, 2))  # some configs build what cannot compute
        vae.encode(torch.zeros(1, 3, 2 * side, 2 * side))
    adopt(vae, tensors, what)
    return vae.eval().requires_grad_(False)


def fit_tower(tensors: Tensors, config: Any, what: str) -> dict[str, torch.Tensor]:
    """Name the tensors of a CLIP vision tower as the installed transformers does.

    Args:
        tensors: names without `vision_model.`.
        config: a transformers.CLIPVisionConfig.

    Raises:
        InputError: they do not fit the config, or hold numbers that are not finite.
    """
    with described(what), torch.device("meta"):
        refuse_deep(config.to_dict())
        sketch = transformers.CLIPVisionModel(config).eval()
        sketch(pixel_values=torch.zeros(1, 3, config.image_size, config.image_size))  # as for the VAE
    prefix = tower_prefix(sketch)
    state = {f"{prefix}{key}": value for key, value in tensors.items()}
    refuse_differences(sketch, state, what)
    return state


def tower_prefix(tower: Any) -> str:
    """Return what the installed transformers puts before the names of a tower's tensors: in version 4 a prefix."""
    prefix = "vision_model."
    return prefix if any(name.startswith(prefix) for name in tower.state_dict()) else ""


@contextmanager
def described(what: str) -> Iterator[None]:
    """Turn whatever a library raises on a config that does not describe a model into a refusal of that config.

    Raises:
        InputError: naming the part.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{what}: its config does not describe a model ({reason}); copy it again") from error


def refuse_deep(config: Mapping[str, Any]) -> None:
    """Refuse more layers than any model has, which would take forever to build.

    Raises:
        ValueError: naming the number.
    """
    for name in _LAYERS:
        values = config.get(name, 1)
        for value in values if isinstance(values, list | tuple) else [values]:
            if type(value) is int and value > _MOST_LAYERS:
                raise ValueError(f"{name} {value}")
