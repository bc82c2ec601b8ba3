"""VAE: sources -> latents, by any AutoencoderKL or AutoencoderTiny of diffusers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.encoders.building import build_vae
from pipeline.encoders.facts import latent_factor
from pipeline.encoders.fingerprints import fingerprint_of
from pipeline.encoders.latents import decode, encode_mean
from pipeline.encoders.names import UNTRAINED
from pipeline.encoders.reading import read_vae
from pipeline.encoders.untrained import untrained_vae


@dataclass(frozen=True)
class VaeEncoder:
    """The posterior mean of a diffusers AutoencoderKL, or the latent of an AutoencoderTiny."""

    name: str
    fingerprint: str
    factor: int
    channels: int
    model: Any

    def encode(self, images: torch.Tensor) -> NDArray[np.float16]:
        """See Codec."""
        return self.latents(images).to(torch.float16).cpu().numpy()

    def latents(self, images: torch.Tensor) -> torch.Tensor:
        """See Codec."""
        return encode_mean(self.model, images)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """See Codec."""
        return decode(self.model, latents)


def load_vae(name: str, *, device: str, dtype: str) -> VaeEncoder:
    """Load a VAE.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`.

    Raises:
        InputError: it cannot be loaded, is not a VAE of a known class, or holds numbers that are not finite.
    """
    if name == UNTRAINED:
        model = untrained_vae()
    else:
        weights = read_vae(name)
        model = build_vae(weights.tensors, weights.config, f"--vae {name}").float()  # as diffusers loads it
    config = {key: value for key, value in model.config.items() if not key.startswith("_")}
    fingerprint = fingerprint_of(type(model).__name__, config, model, dtype)
    model = model.to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)
    return VaeEncoder(name, fingerprint, latent_factor(model.config), model.config.latent_channels, model)
