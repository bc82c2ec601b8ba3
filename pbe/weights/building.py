"""Building: tensors and configs -> modules: a model to train from them, or model and frozen encoders to edit with.

A module is first sketched without storage, so that tensors that do not fit are refused before memory is taken.
"""

from dataclasses import replace
from typing import Any

import torch

from pbe.model.conditioner import ConditionerConfig
from pbe.model.paint_by_example import ModelConfig, PaintByExample
from pbe.model.unet import UNET_SIZES, input_channels, unet_config
from pbe.weights.model_files import FORMS
from pbe.weights.reading import Weights
from pipeline.encoders.building import described, fit_tower, refuse_deep
from pipeline.encoders.efficientnet_pca import build_efficientnet_pca
from pipeline.encoders.facts import EFFICIENTNET_PCA
from pipeline.encoders.libraries import transformers
from pipeline.encoders.loading import build_codec
from pipeline.errors import InputError
from pipeline.tensors.fitting import adopt, load_exactly

VIT_L_14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
SD_V1_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
_CLIP_KEYS = {*VIT_L_14, "hidden_act", "layer_norm_eps", "num_channels", "dtype", "torch_dtype"}


def initialise(model: PaintByExample, weights: Weights) -> list[str]:
    """Start a model from weights of the same sizes.

    A UNet of Stable Diffusion grows from c to 2c+1 input channels: the new ones, masked latent and mask, start at zero.
    A conditioner that the weights lack stays at its random start.

    Returns:
        One line a loaded part, for the log.

    Raises:
        InputError: tensors are missing, unexpected or of another kind; names them.
    """
    unet, line = _grow_unet(
        weights, channels=model.unet.config.in_channels, latent_channels=model.unet.config.out_channels
    )
    load_exactly(model.unet, unet, f"{weights.source}: UNet")
    if not weights.conditioner:
        return [line]
    load_exactly(model.conditioner, weights.conditioner, f"{weights.source}: conditioner")
    return [line, f"conditioner: {len(weights.conditioner)} tensors of {weights.source}"]


def model_to_start(weights: Weights, config: ModelConfig) -> PaintByExample:
    """Build a model, at random, whose UNet has the weights' own size; `initialise` then starts it from them.

    Args:
        config: sized for the dataset. Its latents, exemplar vectors, bottleneck and prediction are kept; checkpoints,
            which say nothing of their size, take all of it.

    Raises:
        InputError: the weights' config does not describe a UNet.
    """
    with described(f"{weights.source}: UNet"):
        unet = dict(weights.unet_config or config.unet)
        unet |= {name: config.unet[name] for name in ("sample_size", "in_channels", "out_channels")}
        refuse_deep(unet)
        conditioner = replace(config.conditioner, cross_dim=unet["cross_attention_dim"])
        return PaintByExample(replace(config, unet=unet, conditioner=conditioner))


def mapper_blocks_of(weights: Weights) -> int:
    """Count the transformer blocks of the weights' mapper; 0: they have no conditioner."""
    return len({key.split(".")[2] for key in weights.conditioner if key.startswith("mapper.blocks.")})


def _grow_unet(weights: Weights, *, channels: int, latent_channels: int) -> tuple[dict[str, torch.Tensor], str]:
    """Fit the first convolution to the model's input channels.

    Returns:
        The UNet's tensors, and a line for the log.

    Raises:
        InputError: the weights take an input that is neither Stable Diffusion's nor Paint by Example's.
    """
    unet = dict(weights.unet)
    line = f"UNet: {len(unet)} tensors of {weights.source}"
    conv_in = unet.get("conv_in.weight")
    if conv_in is None or weights.conditioner:
        return unet, line
    if conv_in.shape[1] != latent_channels:
        raise InputError(
            f"{weights.source}: its UNet takes {conv_in.shape[1]} input channels without being Paint by Example's, so "
            f"that their order may not be [noisy latent, masked latent, mask]; start from one with {latent_channels}"
        )
    unet["conv_in.weight"] = _grow_input(conv_in, channels=input_channels(latent_channels))
    return unet, f"{line}; conv_in {latent_channels} -> {channels} channels, the new ones zero"


def _grow_input(weight: torch.Tensor, *, channels: int) -> torch.Tensor:
    """Append input channels of zeros to a convolution: [o, i, k, k] -> [o, channels, k, k]."""
    grown = weight.new_zeros((weight.shape[0], channels, *weight.shape[2:]))
    grown[:, : weight.shape[1]] = weight
    return grown


def build_model(weights: Weights) -> PaintByExample:
    """Build the Paint by Example model that the weights describe, for editing, in the precision of the weights.

    Raises:
        InputError: the weights have no conditioner, or do not fit together.
    """
    config = _model_config(weights)
    with described(f"{weights.source}: UNet"), torch.device("meta"):
        refuse_deep(config.unet)
        model = PaintByExample(config).eval()
        _refuse_idle(model)
    adopt(model.unet, weights.unet, f"{weights.source}: UNet")
    adopt(model.conditioner, weights.conditioner, f"{weights.source}: conditioner")
    return model.eval()


def _refuse_idle(model: PaintByExample) -> None:
    """Let a model without storage compute once: some configs build what cannot.

    Raises:
        Exception: of torch or diffusers, which names the sizes.
    """
    side = 2 ** (len(model.unet.config.block_out_channels) + 1)
    noisy = torch.zeros(1, model.unet.config.in_channels, side, side)
    context = torch.zeros(1, 1, model.config.conditioner.cross_dim)
    noise = model.unet(noisy, torch.zeros(1), encoder_hidden_states=context).sample
    if noise.shape[2:] != noisy.shape[2:]:
        raise ValueError(f"noise of {tuple(noise.shape)} for latents of {tuple(noisy.shape)}")


def _model_config(weights: Weights) -> ModelConfig:
    """Derive the model's config: the UNet's is given, the conditioner's sizes are those of its tensors.

    Raises:
        InputError: there is no conditioner.
    """
    if "proj_out.weight" not in weights.conditioner:
        raise InputError(f"{weights.source}: has no exemplar conditioner, so it cannot edit by example; {FORMS}")
    unet = dict(weights.unet_config or unet_config(UNET_SIZES["sd-v1"], latent_channels=4))
    with described(f"{weights.source}: conditioner"):
        cross_dim, width = weights.conditioner["proj_out.weight"].shape
    conditioner = ConditionerConfig(width=width, cross_dim=cross_dim, blocks=mapper_blocks_of(weights))
    bottleneck = weights.note.get("bottleneck", True)
    return ModelConfig(unet, conditioner, bottleneck=bottleneck, prediction=weights.prediction)


def build_tower(weights: Weights) -> Any:
    """Build the exemplar encoder of the weights, frozen, in their precision: CLIP's vision tower, or another kind.

    Raises:
        InputError: there is none, or it does not fit its config.
    """
    if not weights.tower:
        raise InputError(f"{weights.source}: holds no exemplar encoder; name one with --exemplar-encoder")
    if (weights.tower_config or {}).get("model_type") == EFFICIENTNET_PCA:
        return build_efficientnet_pca(weights.tower, weights.tower_config or {}, f"{weights.source}: exemplar encoder")
    what = f"{weights.source}: CLIP vision tower"
    with described(what):
        known = {key: value for key, value in (weights.tower_config or VIT_L_14).items() if key in _CLIP_KEYS}
        refuse_deep(known)
        config = transformers.CLIPVisionConfig(**known)
    state = fit_tower(weights.tower, config, what)
    tower = transformers.CLIPVisionModel(config)  # a sketch cannot adopt them all: no file holds its buffers
    tower.load_state_dict(state, assign=True)
    return tower.eval().requires_grad_(False)


def build_vae(weights: Weights) -> Any:
    """Build the codec of the weights, frozen, in their precision: a VAE, or another kind.

    Raises:
        InputError: there is none, it is of an unknown class, or it does not fit its config.
    """
    if not weights.vae:
        raise InputError(f"{weights.source}: holds no VAE tensors; name a VAE with --vae")
    return build_codec(weights.vae, weights.vae_config or SD_V1_VAE, f"{weights.source}: VAE")
