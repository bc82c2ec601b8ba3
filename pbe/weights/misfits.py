"""Misfits: parts of a model -> why they do not fit each other, diffusers' layout or the original code."""

from typing import Any

import torch

from pbe.model.conditioner import ConditionerConfig
from pbe.model.paint_by_example import ModelConfig, PaintByExample
from pbe.model.unet import UNET_SIZES, unet_config
from pbe.weights.building import SD_V1_VAE, VIT_L_14
from pbe.weights.own_note import ONLY_NOISE
from pipeline.encoders.libraries import diffusers, transformers
from pipeline.encoders.loading import codec_of, exemplar_encoder_of
from pipeline.errors import InputError
from pipeline.tensors.fitting import differences


def refuse_misfits(source: str, model: PaintByExample, *, vae: Any | None, tower: Any | None) -> None:
    """Refuse encoders of other sizes than the model's.

    Raises:
        InputError: naming both sizes.
    """
    channels, width = model.unet.config.out_channels, model.config.conditioner.width
    if vae is not None and (given := codec_of(vae).channels) != channels:
        raise InputError(
            f"{source}: paints latents of {channels} channels, the VAE's have {given}; "
            "name the VAE that it was trained on with --vae"
        )
    if tower is not None and (given := exemplar_encoder_of(tower).dimension) != width:
        raise InputError(
            f"{source}: takes exemplar vectors of {width} numbers, the exemplar encoder's have {given}; "
            "name the one that it was trained on with --exemplar-encoder"
        )


def diffusers_misfits(config: ModelConfig, *, vae: Any | None, tower: Any | None) -> list[str]:
    """Describe why diffusers' Paint by Example pipeline could not hold the model; empty: it can."""
    reasons = []
    if not config.bottleneck:
        reasons.append("the bottleneck is off")
    if not isinstance(vae, diffusers.AutoencoderKL):
        reasons.append(f"the VAE is {_class_name(vae)}, not AutoencoderKL")
    elif vae.config.get("shift_factor"):
        reasons.append(f"the VAE shifts its latents by {vae.config.shift_factor}")
    if not isinstance(tower, transformers.CLIPVisionModel):
        return [*reasons, f"the exemplar encoder is {_class_name(tower)}, not CLIPVisionModel"]
    if tower.config.hidden_size != config.conditioner.width:
        reasons.append(f"CLIP vectors have {tower.config.hidden_size} numbers, the model {config.conditioner.width}")
    layers = tower.config.num_hidden_layers
    blocks = (layers + 1) // 5  # diffusers' own count, which may be 0; `mapper_blocks` makes at least 1
    if blocks != config.conditioner.blocks:
        reasons.append(f"CLIP's {layers} layers mean {blocks} mapper blocks, not {config.conditioner.blocks}")
    return reasons


def original_misfits(model: PaintByExample, *, vae: Any, tower: Any) -> list[str]:
    """Describe what the only config of the original code could not hold; empty: it can hold the model."""
    with torch.device("meta"):
        original = PaintByExample(
            ModelConfig(unet_config(UNET_SIZES["sd-v1"], latent_channels=4), ConditionerConfig(1024, 768, 5))
        )
        original_vae = diffusers.AutoencoderKL(**SD_V1_VAE)
        original_tower = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VIT_L_14))
    parts = [
        ("UNet", "Stable Diffusion v1's", original.unet, model.unet),
        ("conditioner", "Paint by Example's", original.conditioner, model.conditioner),
        ("VAE", "Stable Diffusion v1's", original_vae, vae),
        ("CLIP vision tower", "ViT-L/14's", original_tower, tower),
    ]
    velocities = [ONLY_NOISE] if model.config.prediction == "v" else []
    return velocities + [
        f"the {name} has other tensors than {whose}"
        for name, whose, expected, part in parts
        if differences(expected, part.state_dict())
    ]


def _class_name(part: Any | None) -> str:
    return "missing" if part is None else type(part).__name__
