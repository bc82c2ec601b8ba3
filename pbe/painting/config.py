"""Config: the flags of `python -m pbe.app`, and how much a visitor may ask for.

A field's docstring is its flag's help.
"""

from dataclasses import dataclass
from typing import Literal

from pbe.editing.config import EditConfig
from pipeline.encoders.names import SHIPPED, ExemplarEncoderName
from pipeline.photos.bounded_reads import MAX_PHOTO_BYTES

FIRST_PORT, LAST_PORT = 7860, 7959
MOST_PIXELS = 25_000_000  # of a picture
MOST_BYTES = MAX_PHOTO_BYTES  # of a file
MOST_PICTURES, MOST_STEPS, MOST_GUIDANCE = 4, 100, 20.0
MOST_WAITING = 8  # paintings, of all visitors
STEPS = 25
SCHEDULER: Literal["ddim"] = "ddim"  # needs fewer steps than the paper's, with any prediction


@dataclass(frozen=True)
class PaintingConfig:
    """Paint by example in a browser: brush over a part of a photo, show an exemplar, look at what becomes of it."""

    model: str = SHIPPED
    """What to paint with: a folder (diffusers' Paint by Example, a training's OUT or OUT/model), an original .ckpt, a
    hub id such as Fantasy-Studio/Paint-by-Example, or `shipped`, the small model of this package."""
    port: int = 0
    """Of the page, at 127.0.0.1. 0: the first free one from 7860 on."""
    vae: str = ""
    """A VAE in place of the model's: a folder, hub id or .ckpt."""
    clip: ExemplarEncoderName = ""
    """An exemplar encoder in place of the model's: a CLIP vision tower, or what pipeline.fit_encoders makes."""
    device: str = ""
    """cpu, cuda, cuda:1 ... Empty: cuda where there is one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Precision. auto: float16 on a GPU, else float32."""

    def edits(self, out: str) -> EditConfig:
        """The flags of `pbe.edit` that all pictures of the page have in common."""
        return EditConfig(
            model=self.model,
            out=out,
            vae=self.vae,
            clip=self.clip,
            device=self.device,
            dtype=self.dtype,
            steps=STEPS,
            scheduler=SCHEDULER,
        )
