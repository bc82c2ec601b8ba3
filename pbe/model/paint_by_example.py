"""Model: UNet and conditioner as the one module that an optimiser trains and a checkpoint holds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pbe.batch import Batch
from pbe.model.conditioner import Conditioner, ConditionerConfig
from pbe.model.diffusion import Losses, training_loss
from pbe.model.objective import Objective
from pbe.model.prediction import Prediction
from pbe.model.schedule import scaled_linear_schedule
from pbe.model.unet import UNetSize, build_unet, unet_config


@dataclass(frozen=True)
class ModelConfig:
    """What it takes to build a model, besides its weights."""

    unet: dict[str, Any]
    """diffusers' UNet config."""
    conditioner: ConditionerConfig
    bottleneck: bool = True
    """On: one pooled vector an exemplar; off: all its tokens."""
    prediction: Prediction = "epsilon"
    """What the UNet predicts."""


class PaintByExample(nn.Module):
    """UNet and conditioner. The frozen encoders are not part of it, nor is the objective, which a training may set."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = build_unet(config.unet, one_token=config.bottleneck)
        self.conditioner = Conditioner(config.conditioner)
        self.objective = Objective(config.prediction)
        self._schedule = scaled_linear_schedule()  # not a buffer, which a half-precision cast would round

    def forward(self, batch: Batch) -> Losses:
        """Compute the training losses of a batch whose exemplars are features, see `training_loss`."""
        self._schedule = self._schedule.to(batch.timesteps.device)
        return training_loss(self.unet, self.conditioner, batch, self._schedule, self.objective)


def model_config(
    size: UNetSize,
    *,
    latent_channels: int,
    latent_size: int,
    exemplar_width: int,
    blocks: int,
    bottleneck: bool = True,
    prediction: Prediction = "epsilon",
) -> ModelConfig:
    """Size a model to fit a dataset's encoders.

    Args:
        latent_channels: c of the dataset's latents.
        latent_size: cells along a latent's side.
        exemplar_width: numbers in an exemplar vector.
        blocks: transformer blocks of the mapper; `mapper_blocks` counts them for a CLIP.
        bottleneck: one pooled vector an exemplar, or all tokens.
        prediction: what the UNet predicts.
    """
    unet = unet_config(size, latent_channels=latent_channels, latent_size=latent_size)
    return ModelConfig(unet, ConditionerConfig(exemplar_width, size.cross_dim, blocks), bottleneck, prediction)


def dead_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy the dead query paths by state-dict name, before an engine rounds the module to half precision.

    Put back into an exported state dict, they leave its dead weights as they were before training, bit by bit.
    """
    return {name: p.detach().cpu().clone() for name, p in model.named_parameters() if not p.requires_grad}


def count_parameters(module: nn.Module, *, dead: bool = False) -> int:
    """Count the parameters, or only the dead (frozen) ones."""
    return sum(p.numel() for p in module.parameters() if not (dead and p.requires_grad))
