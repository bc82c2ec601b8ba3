"""Tiny towers with random weights, as transformers saves them. All but `untrained` ones have moved layer norms."""

from pathlib import Path
from typing import Any

import torch

from pipeline.encoders.libraries import transformers

SIDE = 32
_TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
}


def tiny_clip(*, trained: bool = True) -> Any:
    """A complete CLIP whose features have 16 numbers."""
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**text, "vocab_size": 99, "eos_token_id": 98}, vision_config=_TINY, projection_dim=16
    )
    return _seeded(transformers.CLIPModel, config, trained)


def tiny_vit(kind: str, *, trained: bool = True) -> Any:
    """A transformer of a model type: ViT, Dinov2 or Dinov2WithRegisters."""
    config = getattr(transformers, f"{kind}Config")(**_TINY)
    return _seeded(getattr(transformers, f"{kind}Model"), config, trained)


def save(model: Any, folder: Path) -> Path:
    """Save a model as transformers does."""
    model.save_pretrained(folder)
    return folder


def _seeded(kind: Any, config: Any, trained: bool) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config).eval()
        for module in model.modules() if trained else ():
            if isinstance(module, torch.nn.LayerNorm):
                torch.nn.init.normal_(module.weight, 1, 0.1)
                torch.nn.init.normal_(module.bias, 0, 0.1)
    return model.requires_grad_(False)
