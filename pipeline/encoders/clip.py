"""CLIP: augmented exemplars -> pooled vectors, by any transformers CLIP vision tower."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.encoders.facts import CLIP_TYPES
from pipeline.encoders.fingerprints import LOADING_ERRORS, fingerprint_of, refuse_gaps
from pipeline.encoders.libraries import transformers
from pipeline.encoders.names import UNTRAINED, locate, unloadable
from pipeline.encoders.pixels import fit_to_encoder, unit_pixels
from pipeline.encoders.untrained import untrained_clip
from pipeline.errors import InputError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_PBE_ENCODER = "PaintByExampleImageEncoder"


@dataclass(frozen=True)
class ClipEncoder:
    """The pooled class token of a transformers CLIP vision tower, after its last layer norm, without projection."""

    name: str
    fingerprint: str
    dimension: int
    model: Any

    @torch.inference_mode()
    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """See ExemplarEncoder."""
        images = fit_to_encoder(unit_pixels(exemplars), self.model.config.image_size)
        pooled = self.model(clip_normalise(images).to(self.model.device, self.model.dtype)).pooler_output
        return pooled.to(torch.float16).cpu().numpy()  # type: ignore[no-any-return]


def load_clip(name: str, *, device: str, dtype: str) -> ClipEncoder:
    """Load a CLIP vision tower.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`; also of a Paint by Example image encoder.

    Raises:
        InputError: it cannot be loaded, or is not a CLIP.
    """
    if name == UNTRAINED:
        model = untrained_clip()
    else:
        root, subfolder = locate("--clip", name, "image_encoder")
        try:
            config = transformers.AutoConfig.from_pretrained(root, subfolder=subfolder)
            if config.model_type not in CLIP_TYPES:
                raise InputError(f"--clip {name}: model type {config.model_type}; give a CLIP model")
            inside = {"key_mapping": _tower_names(config)} if _PBE_ENCODER in (config.architectures or ()) else {}
            model, loaded = transformers.CLIPVisionModel.from_pretrained(
                root, subfolder=subfolder, **inside, use_safetensors=True, output_loading_info=True
            )
            refuse_gaps(f"--clip {name}", loaded["missing_keys"])
        except LOADING_ERRORS as error:
            raise unloadable("--clip", name, error) from error
    volatile = ("transformers_version", "architectures", "dtype", "torch_dtype")
    facts = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_") and k not in volatile}
    fingerprint = fingerprint_of("CLIPVisionModel", facts, model, dtype)
    model = model.to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)
    return ClipEncoder(name, fingerprint, model.config.hidden_size, model)


def clip_normalise(images: torch.Tensor) -> torch.Tensor:
    """Normalise by the mean and standard deviation of CLIP's training pictures: [b, 3, h, w] in [0, 1] -> the same."""
    mean, std = torch.tensor(CLIP_MEAN).view(3, 1, 1), torch.tensor(CLIP_STD).view(3, 1, 1)
    return (images - mean) / std


def tower_prefix(tower: Any) -> str:
    """Return what the installed transformers puts before the names of a tower's tensors: in version 4 a prefix."""
    prefix = "vision_model."
    return prefix if any(name.startswith(prefix) for name in tower.state_dict()) else ""


def _tower_names(config: Any) -> dict[str, str]:
    """Map the names in a Paint by Example image encoder, `model.*`, to those that this transformers gives a tower."""
    with torch.device("meta"):
        sketch = transformers.CLIPVisionModel(config)
    return {r"^model\.(vision_model\.)?": tower_prefix(sketch)}
