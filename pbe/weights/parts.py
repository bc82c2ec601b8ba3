"""Parts: weights by name -> all that editing needs: model, codec and exemplar encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pbe.model.paint_by_example import PaintByExample
from pbe.weights.averages import Choice
from pbe.weights.building import build_model
from pbe.weights.hole_sides import HOLE_SIDES
from pbe.weights.misfits import refuse_misfits
from pbe.weights.named_encoders import choose_tower, choose_vae
from pbe.weights.reading import read_weights
from pipeline.tensors.fitting import refuse_not_finite


@dataclass(frozen=True)
class Parts:
    """A complete model, frozen, on one device and in one precision."""

    model: PaintByExample
    """UNet and conditioner, in eval mode."""
    vae: Any | None
    """The codec's module, such as diffusers' AutoencoderKL; None: left out."""
    tower: Any | None
    """The exemplar encoder's module, such as transformers' CLIPVisionModel; None: left out."""
    source: str
    """The folder, file or hub id that was read."""
    note: Mapping[str, Any]
    """What `pbe.weights.export` recorded (pbe.json), and `weights` where others say; empty: nobody does."""
    taken: str = ""
    """For the log: which of the weights that lie side by side these are."""

    @property
    def weights(self) -> str:
        """Return which weights these are: `raw`, their moving average `ema`, or `unknown`."""
        return str(self.note.get("weights", "unknown"))

    @property
    def hole_sides(self) -> Mapping[str, float] | None:
        """How large the holes of the model's training were; None: unknown. See `pbe.weights.hole_sides`."""
        sides: Mapping[str, float] | None = self.note.get(HOLE_SIDES)
        return sides


def load_parts(
    source: str,
    *,
    vae: str = "",
    clip: str = "",
    choice: Choice = "auto",
    device: str | torch.device = "cpu",
    dtype: str = "float32",
) -> Parts:
    """Load a complete model, frozen.

    Args:
        source: a folder (diffusers' Paint by Example or ours; a training's folder means its `model/`), a .ckpt of the
            original code, or a hub id.
        vae: a VAE in place of the source's: folder, hub id (`id:subfolder`), .ckpt, `untrained`; `none`: leave it out.
        clip: an exemplar encoder, likewise.
        choice: raw weights or their moving average, where both are there; see `pbe.weights.averages`.
        dtype: torch's name of the precision of all parts.

    Raises:
        InputError: something is missing, does not fit, or cannot be read safely; names the flag that fixes it.
    """
    weights = read_weights(source, choice=choice)
    model = build_model(weights)
    vae_module, tower = choose_vae(weights, vae), choose_tower(weights, clip)
    refuse_misfits(weights.source, model, vae=vae_module, tower=tower)
    for name, part in (("UNet and conditioner", model), ("VAE", vae_module), ("exemplar encoder", tower)):
        if part is not None:
            part.requires_grad_(False).to(device=device, dtype=getattr(torch, dtype))
            refuse_not_finite(part.state_dict(), f"{weights.source}: {name} in {dtype}")
    return Parts(model, vae_module, tower, weights.source, weights.note, weights.taken)
