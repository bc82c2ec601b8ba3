"""Codecs: photos -> how well each codec gives them back, through the float16 of shards and the bytes of a picture.

    python -m tests.benchmarks.codecs --photos PHOTOS --codecs runs/encoders CompVis/stable-diffusion-v1-4:vae

The photos should be others than those that a codec was fitted or trained on.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import tyro

from pipeline.arrays import Pixels
from pipeline.encoders.fingerprints import make_deterministic
from pipeline.encoders.loading import load_codec
from pipeline.encoders.pixels import signed
from pipeline.encoders.protocols import Codec
from pipeline.errors import PhotoError
from pipeline.fitting.photos import end_squares, list_photos, read_squares


@dataclass(frozen=True)
class Config:
    """Measure the PSNR of codecs on photos: mean over squares, the two ends of each photo."""

    photos: tuple[str, ...]
    """Folders of photos."""
    codecs: tuple[str, ...]
    """What --vae takes."""
    resolution: int = 64
    """px along a side of the squares."""


def main() -> None:
    config = tyro.cli(Config, prog="python -m tests.benchmarks.codecs")
    make_deterministic()
    places = list(list_photos(config.photos, limit=0, advance=lambda: None).values())
    read = read_squares(places, partial(end_squares, size=config.resolution), advance=lambda: None)
    photos = [squares for squares in read if not isinstance(squares, PhotoError)]
    squares = [square for photo in photos for square in photo]
    print(f"{len(photos)} photos, {len(squares)} squares of {config.resolution} px")
    for name in config.codecs:
        codec = load_codec(name, device="cpu", dtype="float32")
        found = [psnr(codec, square) for square in squares]
        print(f"{name}: {codec.channels} channels, {codec.factor} px a cell: {np.mean(found):.1f} dB")


def psnr(codec: Codec, square: Pixels) -> float:
    """Encode and decode a square [s, s, 3] uint8; dB of the bytes that come back."""
    decoded = codec.decode(torch.from_numpy(codec.encode(signed(square[None]))))
    back = (decoded * 255).round().permute(0, 2, 3, 1)[0].numpy()
    error = np.square(back - square.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


if __name__ == "__main__":
    main()
