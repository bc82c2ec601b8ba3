"""Buffers of the original code: the noise schedule, and a UNet's average -> what a strict load of its class wants.

Its `LatentDiffusion` (configs/v1.yaml) keeps twelve tensors of its schedule in each checkpoint. With `use_ema` it also
keeps the average of all parameters of its `model`, which is the UNet alone, under their names without dots.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pbe.batch import TIMESTEPS
from pbe.model.schedule import BETA_END, BETA_START
from pbe.weights.averages import AVERAGE_PREFIX, average_name, sound_counts
from pipeline.tensors.names import Tensors

DECAY, UPDATES = f"{AVERAGE_PREFIX}decay", f"{AVERAGE_PREFIX}num_updates"
_LEAST_VARIANCE = 1e-20  # the first step's is 0, which has no logarithm
_DEFAULT_DECAY = 0.9999  # of the original code
_NO_COUNT = -1  # the original code then always takes the full decay


def schedule_buffers() -> dict[str, torch.Tensor]:
    """Make the tensors that its `register_schedule` keeps: [TIMESTEPS] float32 each, computed in float64 as there.

    Source: Eq. 4 and 6 to 7 of DDPM (Ho et al., 2020), the variance being the posterior's.
    """
    roots = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64, device="cpu")
    betas = (roots**2).numpy()
    alphas = 1 - betas
    kept = np.cumprod(alphas)
    before = np.append(1.0, kept[:-1])
    variance = betas * (1 - before) / (1 - kept)
    buffers = {
        "betas": betas,
        "alphas_cumprod": kept,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": np.sqrt(kept),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - kept),
        "log_one_minus_alphas_cumprod": np.log(1 - kept),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / kept),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / kept - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.maximum(variance, _LEAST_VARIANCE)),
        "posterior_mean_coef1": betas * np.sqrt(before) / (1 - kept),
        "posterior_mean_coef2": (1 - before) * np.sqrt(alphas) / (1 - kept),
    }
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in buffers.items()}


def average_to_ldm(unet: Tensors, counts: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Name the average of a UNet as its `LitEma` does, with decay and count beside it.

    Args:
        unet: the average, under the original names of the parameters.
        counts: `decay` and `updates` behind it, where they are known.
    """
    decay, updates = counts.get("decay", _DEFAULT_DECAY), counts.get("updates", _NO_COUNT)
    named = {average_name(name): value for name, value in unet.items()}
    return {DECAY: torch.tensor(decay, dtype=torch.float32), UPDATES: torch.tensor(updates, dtype=torch.int32)} | named


def average_counts(state: Tensors) -> dict[str, Any]:
    """Read decay and count of the average in a checkpoint; what it lacks is left out."""
    places = {"decay": DECAY, "updates": UPDATES}
    return sound_counts(
        {name: state[key].item() for name, key in places.items() if key in state and state[key].numel() == 1}
    )
