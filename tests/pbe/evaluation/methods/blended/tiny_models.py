"""A tiny ADM and a tiny CLIP with its tokenizer, both with random weights, as files."""

import json
from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel

from pipeline.encoders.libraries import transformers
from tests.pbe.evaluation.methods.blended.guided_diffusion import tiny

END = "<|endoftext|>"
START = "<|startoftext|>"


def write_adm(path: Path, *, seed: int = 0) -> Path:
    """Write an ADM of 16 px."""
    torch.save(tiny(seed, widths=(32, 64), attention=(1,)).state_dict(), path)
    return path


def write_clip(folder: Path, *, seed: int = 0) -> Path:
    """Write a complete CLIP of 16 px."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**sizes, "vocab_size": len(words), "eos_token_id": len(words) - 1, "max_position_embeddings": 24},
        vision_config={**sizes, "image_size": 16, "patch_size": 8},
        projection_dim=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformers.CLIPModel(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder
