"""Samples: the sample photos of installed packages -> photos and exemplars to begin with, as a page can hold them."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

from pbe.editing.figure import shrink
from pbe.editing.inputs import read_picture
from pipeline.arrays import Pixels
from pipeline.photos.sample_photos import installed_photo

MOST_PX = 640
JPEG_QUALITY = 90
Shares = tuple[float, float, float, float]  # left top right bottom, of the photo's sides


@dataclass(frozen=True)
class Sample:
    """A photo and the exemplar of another one, as data: URLs."""

    name: str
    source: str
    exemplar: str


@dataclass(frozen=True)
class _Chosen:
    name: str
    source: str
    exemplar: str
    object_box: Shares
    """In the exemplar's photo: a box labelled by hand, to which it is cut."""


CHOSEN = (
    _Chosen("a flower for the cup", "00c0ffee00000003", "00f10be400000007", (0.26, 0.2, 0.7, 0.845)),
    _Chosen("a cup for the flower", "00f10be400000007", "00c0ffee00000003", (0.125, 0.17, 0.8, 0.985)),
    _Chosen("a cat for the helmet", "00a5740a07000001", "00c4e15ea0000002", (0.0, 0.0, 0.9, 1.0)),
    _Chosen("a motorcycle for the trees", "00c41a0000000006", "0070c41e00000005", (0.125, 0.15, 0.925, 0.905)),
)


def read_samples() -> list[Sample]:
    """Read the photos where their packages are installed."""
    return [_read(chosen) for chosen in CHOSEN]


def _read(chosen: _Chosen) -> Sample:
    source, shown = (read_picture(installed_photo(name), "sample photo") for name in (chosen.source, chosen.exemplar))
    height, width = shown.shape[:2]
    left, top, right, bottom = chosen.object_box
    cut = shown[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    return Sample(chosen.name, _data_url(source), _data_url(cut))


def _data_url(pixels: Pixels) -> str:
    content = io.BytesIO()
    Image.fromarray(shrink(pixels, MOST_PX)).save(content, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
