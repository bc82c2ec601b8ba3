"""Names: what an encoder's config says -> the name that its numbers may bear. Imports no torch."""

from collections.abc import Mapping
from typing import Any

PAPER_ENCODER = "CLIP ViT-B/32"
"""The only encoder whose numbers are FID and CLIP score."""

CLIP_PROJECTION = 512  # length of the features where a config is silent
_CLIP_DEFAULTS = {  # what transformers takes where a config is silent
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 32,
    "image_size": 224,
    "hidden_act": "quick_gelu",
}
# hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, projection: the published CLIPs.
_CLIP_SIZES = {
    (768, 3072, 12, 12, 512): "B",
    (1024, 4096, 24, 16, 768): "L",
    (1280, 5120, 32, 16, 1024): "H",
    (1408, 6144, 40, 16, 1024): "g",
    (1664, 8192, 48, 16, 1280): "bigG",
}
_USUAL_PX, _USUAL_ACTIVATION = 224, "quick_gelu"
# hidden_size, num_hidden_layers, num_attention_heads: of vision transformers.
_VIT_SIZES = {(192, 12, 3): "Ti", (384, 12, 6): "S", (768, 12, 12): "B", (1024, 24, 16): "L", (1536, 40, 24): "g"}
_VIT_DEFAULTS = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
VIT_FAMILIES = {
    "vit": ("", 16),
    "dinov2": ("DINOv2 ", 14),
    "dinov2_with_registers": ("DINOv2 with registers ", 14),
    "dinov3_vit": ("DINOv3 ", 16),
}
"""Model type -> how its name begins, and the patch that transformers takes where a config is silent."""


def clip_name(vision: Mapping[str, Any], projection: int) -> str:
    """Name a CLIP by its vision tower.

    `CLIP ViT-B/32` is OpenAI's shape in all that a config states, its activation too: other trainings use GELU and are
    named so. Another training of that very shape cannot be told apart; the digest can tell.

    Args:
        vision: the config of its tower.
        projection: length of its features.
    """
    facts = {**_CLIP_DEFAULTS, **{key: value for key, value in vision.items() if value is not None}}
    shape = (*(facts[key] for key in list(_CLIP_DEFAULTS)[:4]), projection)
    size = _CLIP_SIZES.get(shape) or f"{facts['hidden_size']}x{facts['num_hidden_layers']}-{projection}"
    pixels = "" if facts["image_size"] == _USUAL_PX else f" at {facts['image_size']} px"
    activation = "" if facts["hidden_act"] == _USUAL_ACTIVATION else f" ({facts['hidden_act']})"
    return f"CLIP ViT-{size}/{facts['patch_size']}{pixels}{activation}"


def vit_name(config: Mapping[str, Any], label: str) -> str:
    """Name a vision transformer by its config.

    Args:
        config: of a model type in VIT_FAMILIES.
        label: the folder's or the repository's own name. A plain `vit` is called by it, too: DINO's first towers have
            no type of their own.
    """
    family, patch = VIT_FAMILIES[config["model_type"]]
    facts = {**_VIT_DEFAULTS, "patch_size": patch, **config}
    shape = tuple(facts[key] for key in _VIT_DEFAULTS)
    size = _VIT_SIZES.get(shape) or f"{facts['hidden_size']}x{facts['num_hidden_layers']}"
    return f"{family}ViT-{size}/{facts['patch_size']}" + ("" if family else f" ({label})")
