"""VAE: sources -> latents, by any AutoencoderKL or AutoencoderTiny of diffusers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.encoders.facts import VAE_CLASSES, latent_factor
from pipeline.encoders.fingerprints import LOADING_ERRORS, fingerprint_of, refuse_gaps
from pipeline.encoders.latents import encode_mean
from pipeline.encoders.libraries import diffusers
from pipeline.encoders.names import UNTRAINED, locate, unloadable
from pipeline.encoders.untrained import untrained_vae
from pipeline.errors import InputError


@dataclass(frozen=True)
class VaeEncoder:
    """The posterior mean of a diffusers AutoencoderKL, or the latent of an AutoencoderTiny."""

    name: str
    fingerprint: str
    factor: int
    channels: int
    model: Any

    @torch.inference_mode()
    def encode(self, images: torch.Tensor) -> NDArray[np.float16]:
        """See SourceEncoder."""
        return encode_mean(self.model, images).to(torch.float16).cpu().numpy()


def load_vae(name: str, *, device: str, dtype: str) -> VaeEncoder:
    """Load a VAE.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`.

    Raises:
        InputError: it cannot be loaded, or is not a VAE of a known class.
    """
    if name == UNTRAINED:
        model = untrained_vae()
    else:
        root, subfolder = locate("--vae", name, "vae")
        try:
            class_name = diffusers.AutoencoderKL.load_config(root, subfolder=subfolder or None)["_class_name"]
            if class_name not in VAE_CLASSES:
                raise InputError(f"--vae {name}: class {class_name}; give one of {', '.join(VAE_CLASSES)}")
            model, loaded = getattr(diffusers, class_name).from_pretrained(
                root,
                subfolder=subfolder or None,
                use_safetensors=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
            )
            refuse_gaps(f"--vae {name}", loaded["missing_keys"])
        except LOADING_ERRORS as error:
            raise unloadable("--vae", name, error) from error
    config = {key: value for key, value in model.config.items() if not key.startswith("_")}
    fingerprint = fingerprint_of(type(model).__name__, config, model, dtype)
    model = model.to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)
    return VaeEncoder(name, fingerprint, latent_factor(model.config), model.config.latent_channels, model)
