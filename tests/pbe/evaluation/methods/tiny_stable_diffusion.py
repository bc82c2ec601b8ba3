"""A tiny Stable Diffusion inpainting pipeline with random weights, as a folder."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from tests.pbe.conftest import tiny_vae

SIZE = 16  # px of its pictures
WORDS = ("<|startoftext|>", "<|endoftext|>")


def write_tokenizer(folder: Path) -> None:
    """A CLIP tokenizer that knows the letters alone."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.-"
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), *WORDS]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 16, "pad_token": WORDS[1]})
    )


def write_pipeline(out: Path, *, in_channels: int = 9) -> Path:
    torch.manual_seed(0)
    write_tokenizer(out / "words")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(out / "words")
    text_config = transformers.CLIPTextConfig(
        vocab_size=80,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=78,
        eos_token_id=79,
    )
    pipeline: Any = diffusers.StableDiffusionInpaintPipeline(
        vae=tiny_vae(),
        text_encoder=transformers.CLIPTextModel(text_config),
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(
            sample_size=SIZE // 2,
            in_channels=in_channels,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=4,
        ),
        scheduler=diffusers.PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(out / "model")
    return out / "model"
