"""CLIP: augmented exemplars -> pooled vectors, by any transformers CLIP vision tower."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.encoders.building import described, fit_tower
from pipeline.encoders.facts import CLIP_TYPES
from pipeline.encoders.fingerprints import fingerprint_of, lasting
from pipeline.encoders.libraries import transformers
from pipeline.encoders.names import UNTRAINED
from pipeline.encoders.pixels import fit_to_encoder, unit_pixels
from pipeline.encoders.reading import read_tower
from pipeline.encoders.untrained import untrained_clip
from pipeline.errors import InputError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ClipEncoder:
    """The tokens of a transformers CLIP vision tower, after its last layer norm, without projection."""

    name: str
    fingerprint: str
    dimension: int
    model: Any

    @property
    def layers(self) -> int:
        """See ExemplarEncoder."""
        return int(self.model.config.num_hidden_layers)

    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """See ExemplarEncoder."""
        return self.pooled(unit_pixels(exemplars)).to(torch.float16).cpu().numpy()

    @torch.no_grad()  # not inference_mode: a trained conditioner computes gradients from it
    def pooled(self, pictures: torch.Tensor) -> torch.Tensor:
        """See ExemplarEncoder; the class token."""
        return pooled_token(self.model, self._prepare(pictures))

    @torch.no_grad()
    def tokens(self, pictures: torch.Tensor) -> torch.Tensor:
        """See ExemplarEncoder; the first token is the pooled one."""
        return all_tokens(self.model, self._prepare(pictures))

    def _prepare(self, pictures: torch.Tensor) -> torch.Tensor:
        images = clip_normalise(fit_to_encoder(pictures, self.model.config.image_size))
        return images.to(self.model.device, self.model.dtype)


def load_clip(name: str, *, device: str, dtype: str) -> ClipEncoder:
    """Load a CLIP vision tower.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`; also of a Paint by Example image encoder.

    Raises:
        InputError: it cannot be loaded, or is not a CLIP.
    """
    model = untrained_clip() if name == UNTRAINED else _load_tower(name)
    fingerprint = fingerprint_of("CLIPVisionModel", lasting(model.config.to_dict()), model, dtype)
    model = model.to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)
    return ClipEncoder(name, fingerprint, model.config.hidden_size, model)


def clip_normalise(images: torch.Tensor) -> torch.Tensor:
    """Normalise by the mean and standard deviation of CLIP's training pictures: [b, 3, h, w] in [0, 1] -> the same."""
    mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
    return (images - mean) / std


def pooled_token(tower: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Encode normalised squares of a tower's own size, [b, 3, s, s], to their class tokens [b, d]."""
    return tower(pixel_values=pixels).pooler_output  # type: ignore[no-any-return]


def all_tokens(tower: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Encode likewise to all tokens [b, n, d] after the same layer norm, whichever version of transformers it is of."""
    inner = getattr(tower, "vision_model", tower)
    return inner.post_layernorm(tower(pixel_values=pixels).last_hidden_state)  # type: ignore[no-any-return]


def _load_tower(name: str) -> Any:
    """Load a tower in the precision that transformers gives it."""
    weights, what = read_tower(name), f"--exemplar-encoder {name}"
    if weights.config.get("model_type") not in CLIP_TYPES:
        raise InputError(f"{what}: model type {weights.config.get('model_type')}; give a CLIP model")
    with described(what):
        config = transformers.CLIPVisionConfig.from_pretrained(weights.folder)
    state = fit_tower(weights.tensors, config, what)
    return transformers.CLIPVisionModel.from_pretrained(None, config=config, state_dict=state)
