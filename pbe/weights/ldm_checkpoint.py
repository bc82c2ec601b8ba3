"""Checkpoints of the original code: tensors under its names <-> the same under diffusers' names; a model -> a .ckpt.

The two codes also differ in two shapes: the original stacks the mapper's queries, keys and values, and computes the
VAE's attention with 1x1 convolutions.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from pbe.weights import ldm_names as names
from pbe.weights.ldm_buffers import average_to_ldm, schedule_buffers
from pipeline.storage.whole_files import file_aside
from pipeline.tensors.names import Tensors, plain_tower, under

CONDITIONER_AVERAGE = "conditioner_ema"
"""Beside `state_dict`, where the original code, which averages the UNet alone, does not look."""
_UNET, _VAE = "a UNet of Stable Diffusion v1", "a VAE of Stable Diffusion v1"
_CONDITIONER = "the conditioner of Paint by Example"


def is_ldm(state: Tensors) -> bool:
    """Whether the names are those of the original code."""
    return any(key.startswith(names.UNET_PREFIX) for key in state)


def unet_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Take the UNet's tensors out of a checkpoint, under diffusers' names.

    Raises:
        ValueError: a tensor has no place in a UNet of Stable Diffusion v1.
    """
    return _renamed(_starting(state, [names.UNET_PREFIX]), dict(names.unet_pairs()), _UNET)


def unet_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Give the UNet's tensors their names in the original code."""
    return _renamed(state, names.inverted(names.unet_pairs()), _UNET)


def conditioner_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Take the conditioner's tensors out of a checkpoint; empty where it has none, as Stable Diffusion's.

    Raises:
        ValueError: a tensor has no place in a conditioner.
    """
    if "learnable_vector" not in state:
        return {}
    own = _starting(state, names.CONDITIONER_PREFIXES)
    blocks = {key.split(".")[3] for key in own if key.startswith(names.MAPPER_PREFIX)}
    return _renamed(_split(own), dict(names.conditioner_pairs(blocks)), _CONDITIONER)


def conditioner_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Give the conditioner's tensors their names in the original code."""
    blocks = {key.split(".")[2] for key in state if key.startswith("mapper.blocks.")}
    return _stacked(_renamed(state, names.inverted(names.conditioner_pairs(blocks)), _CONDITIONER))


def tower_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Take the CLIP vision tower's tensors out of a checkpoint; empty where it has none."""
    return plain_tower(under(state, names.TOWER_PREFIX))


def tower_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Give the tower's tensors their names in the original code, and `position_ids`, which it saves, too."""
    plain = plain_tower(state)
    positions = plain["embeddings.position_embedding.weight"].shape[0]
    counter = {"embeddings.position_ids": torch.arange(positions)[None]}
    return {f"{names.TOWER_PREFIX}{key}": value for key, value in (counter | plain).items()}


def vae_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Take the VAE's tensors out of a checkpoint; empty where it has none.

    Raises:
        ValueError: a tensor has no place in a VAE of Stable Diffusion v1.
    """
    loss = f"{names.VAE_PREFIX}loss."
    own = {key: value for key, value in _starting(state, [names.VAE_PREFIX]).items() if not key.startswith(loss)}
    levels = len({key.split(".")[3] for key in own if key.startswith(f"{names.VAE_PREFIX}decoder.up.")})
    renamed = _renamed(own, dict(names.vae_pairs(levels)), _VAE)
    return {key: _as_linear(value) if ".mid_block.attentions." in key else value for key, value in renamed.items()}


def vae_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Give the VAE's tensors their names in the original code."""
    levels = len({key.split(".")[2] for key in state if key.startswith("decoder.up_blocks.")})
    renamed = _renamed(state, names.inverted(names.vae_pairs(levels)), _VAE)
    return {key: _as_convolution(value) if ".attn_1." in key else value for key, value in renamed.items()}


def write_checkpoint(
    path: Path,
    state: Tensors,
    *,
    vae: Tensors,
    tower: Tensors,
    step: int | None,
    average: Tensors | None = None,
    counts: Mapping[str, Any] = {},
) -> None:
    """Write the .ckpt, aside first: plain tensors, in the precision that they have; the schedule's in float32.

    Its `state_dict` has the names that the original class has, no more and no fewer: with an average those of
    `use_ema: True`, without one those of `use_ema: False`, as in its only config.

    Args:
        state: of a PaintByExample, names `unet.*` and `conditioner.*`.
        vae, tower: state dicts of its AutoencoderKL and its CLIPVisionModel.
        step: optimiser steps behind the model; None: unknown.
        average: the moving average of `state`, under the same names; None: there is none to write.
        counts: `decay` and `updates` of the average, where they are known.
    """
    tensors = {
        **schedule_buffers(),
        **unet_to_ldm(under(state, "unet.")),
        **conditioner_to_ldm(under(state, "conditioner.")),
        **tower_to_ldm(tower),
        **vae_to_ldm(vae),
    }
    content: dict[str, Any] = {"state_dict": _plain(tensors), "global_step": step or 0}
    if average is not None:
        content["state_dict"] |= _plain(average_to_ldm(unet_to_ldm(under(average, "unet.")), counts))
        content[CONDITIONER_AVERAGE] = _plain(conditioner_to_ldm(under(average, "conditioner.")))
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_aside(path) as aside:
        torch.save(content, aside)


def _plain(tensors: Tensors) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu() for key, value in tensors.items()}


def _renamed(state: Tensors, table: Mapping[str, str], model: str) -> dict[str, torch.Tensor]:
    return {names.rename(key, table, model): value for key, value in state.items()}


def _split(state: Tensors) -> dict[str, torch.Tensor]:
    """Split the mapper's queries, keys and values: `c_qkv` [3d, ...] -> `c_q`, `c_k`, `c_v` [d, ...].

    Raises:
        ValueError: a tensor is not made of three.
    """
    split = {}
    for key, value in state.items():
        if ".attn.c_qkv." not in key:
            split[key] = value
        elif not value.ndim or len(value) % 3:
            raise ValueError(f"{key} of shape {list(value.shape)} does not hold queries, keys and values")
        else:
            split |= {key.replace("c_qkv", f"c_{name}"): x for name, x in zip("qkv", value.chunk(3), strict=True)}
    return split


def _stacked(state: Tensors) -> dict[str, torch.Tensor]:
    """Stack the mapper's queries, keys and values: `c_q`, `c_k`, `c_v` [d, ...] -> `c_qkv` [3d, ...]."""
    stacked = {}
    for key, value in state.items():
        if ".attn.c_q." in key:
            three = [state[key.replace("c_q", f"c_{name}")] for name in "qkv"]
            stacked[key.replace("c_q", "c_qkv")] = torch.cat(three)
        elif ".attn.c_k." not in key and ".attn.c_v." not in key:
            stacked[key] = value
    return stacked


def _as_linear(value: torch.Tensor) -> torch.Tensor:
    """Turn a 1x1 convolution's weight [o, i, 1, 1] into a linear layer's [o, i]."""
    return value.flatten(1) if value.shape[2:] == (1, 1) else value


def _as_convolution(value: torch.Tensor) -> torch.Tensor:
    """Turn a linear layer's weight [o, i] into a 1x1 convolution's [o, i, 1, 1]."""
    return value[:, :, None, None] if value.ndim == 2 else value


def _starting(state: Tensors, prefixes: Iterable[str]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key.startswith(tuple(prefixes))}
