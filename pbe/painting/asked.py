"""Asked: what a visitor sent -> source.png, mask.png and exemplar.png as `pbe.edit` takes them, and its flags.

The files are those of a download: the pictures are made of them, and nothing else.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pbe.editing.canvas import Blend
from pbe.editing.config import EditConfig
from pbe.editing.inputs import read_file, read_size
from pbe.painting.config import MOST_GUIDANCE, MOST_PICTURES, MOST_PIXELS, MOST_STEPS
from pipeline.arrays import Mask
from pipeline.decoding.decode import decode_mask_planes
from pipeline.draws.mask_pictures import GREY
from pipeline.errors import InputError, PhotoError

SOURCE, MASK, EXEMPLAR, CASES = "source.png", "mask.png", "exemplar.png", "cases.csv"
COLUMNS = ("name", "source", "mask", "exemplar")
NAME = "edited"
MEGA = 1_000_000
MOST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Asked:
    """What a visitor asks for. Paths are of files that the page's editors sent; None: there is none."""

    source: Path | None
    brushed: Path | None
    """A picture of the source's size, opaque where the brush was."""
    exemplar: Path | None
    guidance: float
    steps: int
    seed: int
    """Of the first picture; the others have the following."""
    pictures: int
    blend: Blend


def lay_out(asked: Asked, folder: Path, base: EditConfig) -> EditConfig:
    """Write the inputs and a table of this one case into an empty folder.

    No pixel is decoded before both pictures' sizes are known to be allowed.

    Args:
        base: flags that all paintings have in common.

    Returns:
        The flags of `pbe.edit` that make what is asked for.

    Raises:
        InputError: something is missing, too large, or no picture.
    """
    _refuse_numbers(asked)
    if asked.source is None:
        raise InputError("there is no photo yet: choose one, or click a sample")
    if asked.exemplar is None:
        raise InputError("there is no exemplar yet: choose a picture of what is to be painted into the photo")
    source, size = _read(asked.source, "photo")
    exemplar, _ = _read(asked.exemplar, "exemplar")
    mask = _brushed(asked.brushed, size)
    for name, content in ((SOURCE, source), (MASK, _as_png(mask)), (EXEMPLAR, exemplar)):
        (folder / name).write_bytes(content)
    (folder / CASES).write_text(_table([COLUMNS, (NAME, SOURCE, MASK, EXEMPLAR)]))
    return replace(
        base,
        out=str(folder),
        cases=str(folder / CASES),
        guidance=f"{asked.guidance:g}",
        steps=asked.steps,
        seed=asked.seed,
        n=asked.pictures,
        blend=asked.blend,
    )


def _refuse_numbers(asked: Asked) -> None:
    """Refuse numbers beyond the page's, which only a request can have that is not the page's."""
    for name, value, least, most in (
        ("guidance", asked.guidance, 1, MOST_GUIDANCE),
        ("steps", asked.steps, 1, MOST_STEPS),
        ("pictures", asked.pictures, 1, MOST_PICTURES),
        ("seed", asked.seed, 0, MOST_SEED),
    ):
        if not least <= value <= most:
            raise InputError(f"{name}: {value:g} is out of range; give a number from {least} to {most:g}")


def _read(path: Path, what: str) -> tuple[bytes, tuple[int, int]]:
    """Read a picture's bytes, and its width and height from its header.

    Raises:
        InputError: it is too large, or no picture.
    """
    content = read_file(str(path), what)
    width, height = read_size(content, what)
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{what}: {width} x {height} px are {width * height / MEGA:.0f} megapixels; give a picture of at most "
            f"{MOST_PIXELS / MEGA:.0f}"
        )
    return content, (width, height)


def _brushed(path: Path | None, size: tuple[int, int]) -> Mask:
    """Read where the brush was: [h, w] uint8, 255 = repaint.

    Raises:
        InputError: it was nowhere, or not on this photo.
    """
    nothing = "nothing is brushed yet: brush over the part of the photo that is to be repainted"
    if path is None:
        raise InputError(nothing)
    content, of_mask = _read(path, "brush")
    if of_mask != size:
        raise InputError("what is brushed belongs to another photo: brush again")
    try:
        alpha = decode_mask_planes(content, max_pixels=MOST_PIXELS).alpha
    except PhotoError as error:
        raise InputError(f"brush: cannot be read ({error}); brush again") from error
    if alpha is None or not (alpha >= GREY).any():
        raise InputError(nothing)
    mask: Mask = (alpha >= GREY).astype(np.uint8) * np.uint8(255)
    return mask


def _as_png(mask: Mask) -> bytes:
    content = io.BytesIO()
    Image.fromarray(mask).save(content, "PNG")
    return content.getvalue()


def _table(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
