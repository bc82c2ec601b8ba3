"""Parts: weights by name -> all that editing needs: model, VAE and CLIP vision tower."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pbe.model.paint_by_example import PaintByExample
from pbe.weights.building import build_model
from pbe.weights.misfits import refuse_misfits
from pbe.weights.named_encoders import choose_tower, choose_vae
from pbe.weights.reading import read_weights


@dataclass(frozen=True)
class Parts:
    """A complete model, frozen, on one device and in one precision."""

    model: PaintByExample
    """UNet and conditioner, in eval mode."""
    vae: Any | None
    """diffusers' AutoencoderKL or AutoencoderTiny; None: left out."""
    tower: Any | None
    """transformers' CLIPVisionModel; None: left out."""
    source: str
    """The folder, file or hub id that was read."""
    note: Mapping[str, Any]
    """What `pbe.weights.export` recorded (pbe.json); empty: others wrote these weights."""

    @property
    def weights(self) -> str:
        """Return which weights these are: `raw`, their moving average `ema`, or `unknown`."""
        return str(self.note.get("weights", "unknown"))


def load_parts(
    source: str, *, vae: str = "", clip: str = "", device: str | torch.device = "cpu", dtype: str = "float32"
) -> Parts:
    """Load a complete model, frozen.

    Args:
        source: a folder (diffusers' Paint by Example or ours; a training's folder means its `model/`), a .ckpt of the
            original code, or a hub id.
        vae: a VAE in place of the source's: folder, hub id (`id:subfolder`), .ckpt, `untrained`; `none`: leave it out.
        clip: a CLIP vision tower, likewise.
        dtype: torch's name of the precision of all parts.

    Raises:
        InputError: something is missing, does not fit, or cannot be read safely; names the flag that fixes it.
    """
    weights = read_weights(source)
    model = build_model(weights)
    vae_module, tower = choose_vae(weights, vae), choose_tower(weights, clip)
    refuse_misfits(weights.source, model, vae=vae_module, tower=tower)
    for part in (model, vae_module, tower):
        if part is not None:
            part.requires_grad_(False).to(device=device, dtype=getattr(torch, dtype))
    return Parts(model, vae_module, tower, weights.source, weights.note)
