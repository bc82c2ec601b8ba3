"""Prediction: what a UNet was trained to predict, the noise or the velocity -> the noise in a noisy latent, the rest.

The velocity is v = sqrt(alpha bar) eps - sqrt(1 - alpha bar) x_0 (Salimans and Ho 2022, section 4 and appendix D).
Imports no torch itself.
"""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

    from pbe.model.schedule import Schedule

Prediction = Literal["epsilon", "v"]
DIFFUSERS_NAMES: dict[Prediction, str] = {"epsilon": "epsilon", "v": "v_prediction"}
"""In the scheduler configs of diffusers, `prediction_type`."""


def velocity(
    latents: "torch.Tensor", noise: "torch.Tensor", timesteps: "torch.Tensor", schedule: "Schedule"
) -> "torch.Tensor":
    """Mix latents and noise [b, c, h, w] to what a UNet of prediction `v` learns; timesteps [b] or a scalar."""
    alpha_bar = schedule.alpha_bar(timesteps).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * latents


def noise_of(
    predicted: "torch.Tensor",
    noisy: "torch.Tensor",
    timesteps: "torch.Tensor",
    schedule: "Schedule",
    prediction: Prediction,
) -> "torch.Tensor":
    """Turn a prediction [b, c, h, w] for noisy latents [b, c, h, w] into the noise; of epsilon, it is the noise.

    eps = sqrt(alpha bar) v + sqrt(1 - alpha bar) x_t.
    """
    if prediction == "epsilon":
        return predicted
    alpha_bar = schedule.alpha_bar(timesteps).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * predicted + (1 - alpha_bar).sqrt() * noisy


def clean_of(
    predicted: "torch.Tensor",
    noisy: "torch.Tensor",
    timesteps: "torch.Tensor",
    schedule: "Schedule",
    prediction: Prediction,
) -> "torch.Tensor":
    """Turn a prediction [b, c, h, w] for noisy latents [b, c, h, w] into the latents without noise that it means.

    x_0 = (x_t - sqrt(1 - alpha bar) eps) / sqrt(alpha bar): Eq. 9 of DDIM.
    """
    alpha_bar = schedule.alpha_bar(timesteps).view(-1, 1, 1, 1)
    noise = noise_of(predicted, noisy, timesteps, schedule, prediction)
    return (noisy - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()
