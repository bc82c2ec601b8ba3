"""Frozen encoders: a dataset's manifest -> its VAE and CLIP tower, for live encoding and for the export."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from pbe.batch import Batch
from pbe.model.conditioner import exemplar_features, mapper_blocks
from pbe.training.config import TrainConfig, encoder_name
from pipeline.encoders.clip import ClipEncoder, load_clip
from pipeline.encoders.names import NONE
from pipeline.encoders.vae import VaeEncoder, load_vae
from pipeline.errors import InputError


@dataclass(frozen=True)
class FrozenEncoders:
    """The encoders, which are not trained.

    Args:
        vae, clip: None: left out.
        all_tokens: every token of an exemplar instead of its pooled vector.
    """

    vae: VaeEncoder | None
    clip: ClipEncoder | None
    all_tokens: bool

    @property
    def mapper_blocks(self) -> int:
        """Return the number of mapper blocks in diffusers' layout; 0 without a CLIP tower."""
        return mapper_blocks(self.clip.model.config.num_hidden_layers) if self.clip else 0

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprints of those that are loaded."""
        return {name: part.fingerprint for name, part in (("vae", self.vae), ("clip", self.clip)) if part}

    @torch.no_grad()
    def encode(self, batch: Batch) -> Batch:
        """Turn exemplar pixels into features, and masked sources into masked latents, where the batch has them."""
        if batch.exemplars.ndim == 4 and self.clip:
            pixels = batch.exemplars.to(self.clip.model.dtype)
            features = exemplar_features(self.clip.model, pixels, all_tokens=self.all_tokens)
            batch = replace(batch, exemplars=features.float())
        if batch.masked_sources is not None and self.vae:
            latents = torch.from_numpy(self.vae.encode(batch.masked_sources)).float()
            batch = replace(batch, masked_latents=latents.to(batch.latents.device), masked_sources=None)
        return batch


def load_frozen(config: TrainConfig, manifest: Mapping[str, Any], *, device: str) -> FrozenEncoders:
    """Load the encoders that a dataset was made with.

    Raises:
        InputError: they are not named, cannot be loaded, or are not the dataset's.
    """
    names, recipe = manifest.get("encoders", {}), manifest["recipe"]
    vae_name = encoder_name("--vae", config.vae, names.get("vae", ""))
    clip_name = encoder_name("--clip", config.clip, names.get("clip", ""))
    dtype = recipe.get("dtype", "float32")
    vae = None if vae_name == NONE else load_vae(vae_name, device=device, dtype=dtype)
    clip = None if clip_name == NONE else load_clip(clip_name, device=device, dtype=dtype)
    for flag, encoder, used in (("--vae", vae, recipe["vae"]), ("--clip", clip, recipe["clip"])):
        if encoder and encoder.fingerprint != used.get("fingerprint"):
            raise InputError(f"{flag} {encoder.name}: its weights are not those that {config.data} was encoded with")
    return FrozenEncoders(vae, clip, all_tokens=not config.bottleneck)
