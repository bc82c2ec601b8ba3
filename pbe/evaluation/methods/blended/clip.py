"""CLIP: a folder or hub id of a complete CLIP -> vectors of pictures, with a gradient, and of texts, in one space."""

from dataclasses import dataclass
from typing import Any

import torch

from pbe.evaluation.methods.blended.clip_files import find_clip, read_clip_config, weights_folder
from pbe.model.finite import refuse_not_finite
from pipeline.arrays import Pixels
from pipeline.decoding.resize import resize
from pipeline.encoders.building import described, refuse_deep
from pipeline.encoders.clip import clip_normalise
from pipeline.encoders.libraries import transformers
from pipeline.encoders.pixels import unit_pixels
from pipeline.errors import InputError
from pipeline.tensors.fitting import refuse_differences
from pipeline.tensors.reading import read_part


@dataclass(frozen=True)
class Clip:
    """A complete CLIP, frozen."""

    model: Any
    """transformers' CLIPModel."""

    @property
    def side(self) -> int:
        """px along a side of the pictures that it takes."""
        return int(self.model.config.vision_config.image_size)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode pictures [n, 3, side, side] in [0, 1], on the CPU: [n, d] float32, with a gradient.

        Raises:
            NotFiniteError: its numbers are not finite.
        """
        images = clip_normalise(pictures).to(self.model.device, self.model.dtype)
        vectors: torch.Tensor = self.model.visual_projection(self.model.vision_model(images).pooler_output).float()
        refuse_not_finite(vectors, "CLIP vision tower", self.model.dtype)
        return vectors

    @torch.no_grad()
    def encode_picture(self, pixels: Pixels) -> torch.Tensor:
        """Encode a picture [h, w, 3], squashed as an exemplar is for Paint by Example: [1, d] float32."""
        return self.encode(unit_pixels(resize(pixels, self.side)[None]))

    @torch.no_grad()
    def encode_text(self, tokenizer: Any, text: str) -> torch.Tensor:
        """Encode a text, cut where it is too long: [1, d] float32.

        Raises:
            NotFiniteError: its numbers are not finite.
        """
        most = self.model.config.text_config.max_position_embeddings
        tokens = tokenizer(text, truncation=True, max_length=most, return_tensors="pt").to(self.model.device)
        pooled = self.model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
        vectors: torch.Tensor = self.model.text_projection(pooled).float()
        refuse_not_finite(vectors, "CLIP text tower", self.model.dtype)
        return vectors


def load_clip(name: str, *, device: str, dtype: str) -> Clip:
    """Load a complete CLIP.

    Raises:
        InputError: it is missing, damaged, or not a complete CLIP.
    """
    config = read_clip_config(name)
    folder = weights_folder(name)
    tensors = {key: value for key, value in read_part(folder).items() if not key.endswith("position_ids")}
    with described(name):
        for part in ("text_config", "vision_config"):
            refuse_deep(config.get(part) or {})
        sized = transformers.CLIPConfig.from_pretrained(folder)
        with torch.device("meta"):
            sketch = transformers.CLIPModel(sized).eval()
            sketch.vision_model(torch.zeros(1, 3, sized.vision_config.image_size, sized.vision_config.image_size))
            sketch.text_model(torch.zeros(1, 2, dtype=torch.long))
    refuse_differences(sketch, tensors, name)
    model = transformers.CLIPModel.from_pretrained(
        None,
        config=sized,
        state_dict=tensors,
        attn_implementation="eager",  # others add up gradients in an order that changes from run to run
    )
    return Clip(model.to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False))


def load_tokenizer(name: str, clip: Clip) -> Any:
    """Load the tokenizer that lies beside a CLIP's weights.

    Raises:
        InputError: it is missing, damaged, or has words that the CLIP does not know.
    """
    with described(f"{name}, its tokenizer"):
        tokenizer = transformers.CLIPTokenizer.from_pretrained(find_clip(name))
        largest = max(tokenizer.get_vocab().values())
    known = clip.model.config.text_config.vocab_size
    if largest >= known:
        raise InputError(f"{name}: its tokenizer has word {largest}, of {known} that the model knows; copy both again")
    return tokenizer
