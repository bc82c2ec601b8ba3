"""Patch PCA: sources -> latents -> pictures, by whitened principal components of small patches: no network.

A square patch of `factor` px a side becomes the latent cell of its first components, each of unit variance; decoding is
the linear map back. Both are fitted in closed form by `pipeline.fit_encoders`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.encoders.building import described
from pipeline.encoders.facts import CONFIG, PATCH_PCA
from pipeline.encoders.fingerprints import fingerprint_of
from pipeline.encoders.latents import unit_range
from pipeline.encoders.reading import read_vae
from pipeline.errors import InputError
from pipeline.tensors.fitting import adopt
from pipeline.tensors.names import Tensors
from pipeline.tensors.reading import write_tensors

WEIGHTS = "diffusion_pytorch_model.safetensors"  # as diffusers names a VAE's


class PatchPca(nn.Module):
    """Analysis and synthesis of patches, as convolutions whose stride is the patch's side.

    Args:
        config: `factor`, px of a patch's side, and `latent_channels`, its components; the rest says how it was fitted.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        side, components = config["factor"], config["latent_channels"]
        self.encoder = nn.Conv2d(3, components, side, stride=side)
        self.decoder = nn.ConvTranspose2d(components, 3, side, stride=side)

    @property
    def dtype(self) -> torch.dtype:
        return self.encoder.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.encoder.weight.device

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """Write config.json and weights; takes diffusers' options, none of which matters here."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_tensors(Path(folder) / WEIGHTS, self.state_dict(), metadata={"format": "pt"})
        content = {"_class_name": PATCH_PCA, **self.config}
        (Path(folder) / CONFIG).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


@dataclass(frozen=True)
class PatchCodec:
    """A PatchPca as a Codec."""

    name: str
    fingerprint: str
    model: PatchPca

    @property
    def factor(self) -> int:
        """See Codec."""
        return int(self.model.config["factor"])

    @property
    def channels(self) -> int:
        """See Codec."""
        return int(self.model.config["latent_channels"])

    def encode(self, images: torch.Tensor) -> NDArray[np.float16]:
        """See Codec."""
        return self.latents(images).to(torch.float16).cpu().numpy()

    @torch.inference_mode()
    def latents(self, images: torch.Tensor) -> torch.Tensor:
        """See Codec."""
        latents: torch.Tensor = self.model.encoder(images.to(self.model.device, self.model.dtype)).float()
        return latents

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """See Codec."""
        return unit_range(self.model.decoder(latents.to(self.model.device, self.model.dtype)).float())


def load_patch_codec(name: str, *, device: str, dtype: str) -> PatchCodec:
    """Load a patch PCA.

    Args:
        name: a folder or hub id (`id:subfolder`).

    Raises:
        InputError: it cannot be loaded, or does not fit its config.
    """
    weights = read_vae(name)
    model = build_patch_pca(weights.tensors, weights.config, f"--vae {name}").float()
    decisive = {key: model.config[key] for key in ("factor", "latent_channels")}
    fingerprint = fingerprint_of(PATCH_PCA, decisive, model, dtype)
    return PatchCodec(name, fingerprint, model.to(device=device, dtype=getattr(torch, dtype)))


def build_patch_pca(tensors: Tensors, config: Mapping[str, Any], what: str) -> PatchPca:
    """Build a patch PCA, frozen, in the precision of its tensors.

    Args:
        what: names it in errors.

    Raises:
        InputError: it is of another class, does not fit its config, or holds numbers that are not finite.
    """
    if config.get("_class_name") != PATCH_PCA:
        raise InputError(f"{what}: its class is {config.get('_class_name')}, not {PATCH_PCA}")
    with described(what), torch.device("meta"):
        model = PatchPca({key: value for key, value in config.items() if key != "_class_name"})
    adopt(model, tensors, what)
    return model.eval().requires_grad_(False)
