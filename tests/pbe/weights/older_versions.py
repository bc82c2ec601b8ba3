"""What the older libraries do by themselves: `save OUT` writes folders and pictures, `paint FOLDER OUT` uses one.

Runs with diffusers before 0.38 and transformers 4 on the path, where the pipeline needs no help.
"""

import sys
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import PaintByExamplePipeline

from tests.pbe.conftest import diffusers_pipeline, paint, tiny_vae


def save(out: Path) -> None:
    pipeline = diffusers_pipeline(tiny_vae())
    pipeline.save_pretrained(out / "safetensors")
    pipeline.save_pretrained(out / "bin", safe_serialization=False)
    tensors = {name: getattr(pipeline, name).state_dict() for name in ("unet", "image_encoder", "vae")}
    torch.save(tensors, out / "tensors.pt")
    _paint(pipeline, out / "pictures.pt")
    pipeline.to(dtype=torch.float16).save_pretrained(out / "fp16", variant="fp16")


def _paint(pipeline: PaintByExamplePipeline, path: Path) -> None:
    torch.save([torch.as_tensor(paint(pipeline, output_type=kind)) for kind in ("latent", "np")], path)


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert diffusers.__version__ < "0.38" and transformers.__version__ < "5"
    if sys.argv[1] == "save":
        save(Path(sys.argv[2]))
    else:
        _paint(PaintByExamplePipeline.from_pretrained(sys.argv[2]), Path(sys.argv[3]))
