"""Sampler: noise and what a picture is conditioned on -> latents, by a diffusers scheduler with guidance.

Classifier-free guidance (Eq. 6 of Ho and Salimans, as a scale): uncond + scale * (cond - uncond). Both predictions come
from one call of the UNet on twice the batch; at scale 1 the unconditional half cancels out and is not computed.

Velocities are turned into noise before the step, whatever the scheduler: PLMS averages the predictions of several
timesteps, and a velocity mixes noise and latents by its timestep's own shares. Guidance may come before or after that:
both are linear, and its weights sum to 1.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

import diffusers
import torch

from pbe.model.diffusion import predict_noise
from pbe.model.guidance import shared_before_context
from pbe.model.prediction import DIFFUSERS_NAMES, Prediction, clean_of, noise_of
from pbe.model.schedule import NOISE_SCHEDULE, Schedule

SchedulerName = Literal["pndm", "ddim", "dpmpp"]
SCHEDULERS: tuple[SchedulerName, ...] = get_args(SchedulerName)
OnStep = Callable[[torch.Tensor], object]
DEFAULT_STEPS, DEFAULT_GUIDANCE = 50, 5.0
DEFAULT_SCHEDULER: SchedulerName = "pndm"

_STEPPING = {"timestep_spacing": "leading", "steps_offset": 1}  # which timesteps are visited, as published models do


@dataclass(frozen=True)
class Conditions:
    """What b pictures are made from. Mask 1 = repaint."""

    context: torch.Tensor
    """[b, n, cross_dim] of the exemplars; its precision is the one the UNet computes in."""
    unconditional: torch.Tensor
    """[b, n, cross_dim], the unconditional vector in that shape."""
    masked_latents: torch.Tensor
    """[b, c, h, w] float32, scaled."""
    masks: torch.Tensor
    """[b, 1, h, w] float32 in [0, 1], latent size."""

    def take(self, part: slice) -> "Conditions":
        """Take some of the pictures' conditions."""
        return Conditions(
            context=self.context[part],
            unconditional=self.unconditional[part],
            masked_latents=self.masked_latents[part],
            masks=self.masks[part],
        )

    @staticmethod
    def join(parts: Sequence["Conditions"]) -> "Conditions":
        """Put the conditions of several batches into one."""
        return Conditions(
            context=torch.cat([part.context for part in parts]),
            unconditional=torch.cat([part.unconditional for part in parts]),
            masked_latents=torch.cat([part.masked_latents for part in parts]),
            masks=torch.cat([part.masks for part in parts]),
        )


def make_scheduler(
    name: SchedulerName, *, steps: int, device: torch.device | str = "cpu", takes: Prediction = "epsilon"
) -> Any:
    """Make a diffusers scheduler with Stable Diffusion v1's noise schedule, its timesteps set.

    `pndm` is PLMS, with steps + 1 timesteps; `ddim` (eta 0) and `dpmpp` (DPM-Solver++ 2M) have as many as steps.

    Args:
        takes: which predictions it steps with. diffusers' pipelines leave velocities to the scheduler.
    """
    schedule = {**NOISE_SCHEDULE, **_STEPPING, "prediction_type": DIFFUSERS_NAMES[takes]}
    if name == "pndm":
        scheduler = diffusers.PNDMScheduler(**schedule, skip_prk_steps=True, set_alpha_to_one=False)
    elif name == "ddim":
        scheduler = diffusers.DDIMScheduler(**schedule, set_alpha_to_one=False, clip_sample=False)
    else:
        scheduler = diffusers.DPMSolverMultistepScheduler(**schedule, algorithm_type="dpmsolver++")
    scheduler.set_timesteps(steps, device=device)
    return scheduler


def initial_noise(shape: tuple[int, int, int], seeds: list[int]) -> torch.Tensor:
    """Draw the noise that sampling starts from: each picture's from a CPU generator with its own seed.

    Args:
        shape: c, h, w.
        seeds: [b].

    Returns:
        [b, c, h, w] float32; a picture does not depend on how many are made beside it.
    """
    return torch.stack([torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds])


@torch.inference_mode()
def sample(
    unet: Any,
    scheduler: Any,
    noise: torch.Tensor,
    conditions: Conditions,
    *,
    guidance: float,
    prediction: Prediction = "epsilon",
    share: bool = True,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Denoise.

    Args:
        unet: the UNet with 2c+1 input channels; without guidance, anything that is called like it.
        scheduler: from make_scheduler; used up by one call.
        noise: [b, c, h, w].
        guidance: the scale. Up to 1 there is no guidance: the prediction with the exemplar alone.
        prediction: what the UNet predicts; turned into noise where that is what the scheduler takes.
        share: with guidance, compute what comes before the first cross-attention once for both halves, which rounds
            differently than two full halves.
        on_step: called after every step with the latents without noise [b, c, h, w] float32 that its prediction means.

    Returns:
        [b, c, h, w] float32 latents, scaled, whatever precision the UNet computes in.
    """
    # With guidance, each step predicts for [unconditional, conditional] in one batch of 2b, and mixes the two.
    guided = guidance > 1
    shown = _both(conditions) if guided else conditions
    device = conditions.context.device
    latents: torch.Tensor = noise.to(device) * scheduler.init_noise_sigma
    # What the scheduler does not take itself is turned into noise here.
    left: Prediction = "epsilon" if scheduler.config.prediction_type == DIFFUSERS_NAMES[prediction] else prediction
    schedule = Schedule(scheduler.alphas_cumprod).to(device)
    with shared_before_context(unet) if guided and share else nullcontext():
        for timestep in scheduler.timesteps:
            noisy = scheduler.scale_model_input(torch.cat([latents] * 2) if guided else latents, timestep)
            predicted = predict_noise(
                unet, noisy, timestep, shown.context, masked_latents=shown.masked_latents, masks=shown.masks
            )
            predicted = predicted.float()
            if guided:
                unconditional, conditional = predicted.chunk(2)
                predicted = unconditional + guidance * (conditional - unconditional)
            taken = noise_of(predicted, latents, timestep, schedule, left)
            before, latents = latents, scheduler.step(taken, timestep, latents).prev_sample
            if on_step:
                on_step(clean_of(predicted, before, timestep, schedule, prediction))
    return latents


def _both(conditions: Conditions) -> Conditions:
    """Stack the unconditional batch before the conditional one: [2b, ...]."""
    return Conditions(
        context=torch.cat([conditions.unconditional, conditions.context]),
        unconditional=conditions.unconditional,
        masked_latents=torch.cat([conditions.masked_latents] * 2),
        masks=torch.cat([conditions.masks] * 2),
    )
