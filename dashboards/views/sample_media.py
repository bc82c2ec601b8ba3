"""Sample media: a name in the App -> a sample's picture, made from its shard when somebody looks at it.

Names are looked up among the rows that were opened; no path is ever made of one.
"""

import functools
import io
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dashboards.pictures import PictureReader, SampleError, SamplePictures
from dashboards.views.kept_pictures import KeptPictures, Media
from pipeline.arrays import Hole, Mask, Pixels
from pipeline.decoding.jpeg import encode_jpeg
from pipeline.draws.raster import reduce_mask
from pipeline.shards.samples import Row
from schemas.samples import EXEMPLAR_EXT, SOURCE_EXT

SLICES = ("source", "masked", "exemplar", "augmented")
MASKS = ("mask", "latent_mask")
JPEG, PNG = "image/jpeg", "image/png"
CACHED_SAMPLES = 32  # decoded, each of some MB: the App asks for all pictures of a sample one after the other
EXPLAINED_PX = 512


def media_name(dataset: str, kind: str, key: str) -> str:
    """Name a picture: `/DATASET/source/KEY.jpg`; kinds are SLICES and MASKS."""
    return f"/{dataset}/{kind}/{key}.{'png' if kind in MASKS else 'jpg'}"


class SampleMedia:
    """Pictures of samples by name, the last ones kept; safe for several threads."""

    def __init__(self, dataset: str, rows: pa.Table, reader: PictureReader, *, factor: int) -> None:
        """Take the rows that may be looked at.

        Args:
            rows: of the index.
            factor: source px along a side of a latent cell.
        """
        self._prefix, self._rows, self._factor = f"/{dataset}/", rows, factor
        self._places = {key: place for place, key in enumerate(rows["key"].to_pylist())}
        self._read: Callable[[int], SamplePictures] = functools.lru_cache(CACHED_SAMPLES)(
            lambda place: reader.read(self._row(place))
        )
        self._kept = KeptPictures()

    def picture(self, name: str) -> Media | None:
        """Make the picture of a name; a sample that cannot be read gives one that says why. None: no such name."""
        if not name.startswith(self._prefix):
            return None
        kind, _, file = name.removeprefix(self._prefix).partition("/")
        place = self._places.get(file.rpartition(".")[0])
        if place is None or name != media_name(self._prefix.strip("/"), kind, file.rpartition(".")[0]):
            return None
        try:
            return self._kept.get(name, lambda: encode_picture(self._read(place), kind, factor=self._factor))
        except SampleError as error:  # not kept: the shard may come back
            return explain(str(error)) if kind in SLICES else None

    def extract(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Write all pictures below a folder, `KIND/KEY.jpg`.

        Yields:
            Each sample's key, and why it could not be read or nothing.
        """
        for kind in (*SLICES, *MASKS):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for key in self._places:
            fault = ""
            for kind in (*SLICES, *MASKS):
                try:
                    made = encode_picture(self._read(self._places[key]), kind, factor=self._factor)
                except SampleError as error:
                    fault = str(error)
                    made = explain(fault) if kind in SLICES else None
                if made:
                    (folder / media_name("", kind, key).lstrip("/")).write_bytes(made[0])
            yield key, fault

    def _row(self, place: int) -> Row:
        return dict(self._rows.slice(place, 1).to_pylist()[0])


def encode_picture(sample: SamplePictures, kind: str, *, factor: int) -> Media | None:
    """Encode one picture of a sample: what is stored as it is stored, masks without loss; None: no such kind."""
    if kind == "source":
        stored = sample.stored.get(SOURCE_EXT) if sample.origin == "stored" else None
        return stored or encode_jpeg(sample.source), JPEG
    if kind == "exemplar":
        return sample.stored[EXEMPLAR_EXT], JPEG
    if kind == "masked":
        return encode_jpeg(sample.masked), JPEG
    if kind == "augmented":
        return encode_jpeg(sample.augmented), JPEG
    if kind == "mask":
        return encode_mask(sample.mask), PNG
    if kind == "latent_mask":
        return _png(np.rint(reduce_mask(sample.mask, factor) * 255).astype(np.uint8)), PNG
    return None


def encode_mask(mask: Mask | Hole) -> bytes:
    """Encode a mask, [h, w], as PNG: 255 = repaint."""
    return _png(mask.astype(np.uint8) * np.uint8(255))


def explain(text: str) -> Media:
    """Draw a picture that says why there is no picture."""
    canvas = Image.new("RGB", (EXPLAINED_PX, EXPLAINED_PX), (236, 236, 236))
    font = ImageFont.load_default(22)
    lines = "\n".join(textwrap.wrap(text, 40, break_long_words=True)[:14])
    ImageDraw.Draw(canvas).text((24, 24), f"no picture:\n{lines}", fill=(120, 30, 30), font=font)
    content = io.BytesIO()
    canvas.save(content, "JPEG", quality=90)
    return content.getvalue(), JPEG


def open_picture(name: str, read: Callable[[], bytes]) -> tuple[Media, tuple[int, int]]:
    """Read a picture file as it is, with width and height in px; one that is gone or damaged gives one that says so."""
    try:
        content = read()
        with Image.open(io.BytesIO(content)) as image:
            return (content, Image.MIME[image.format or ""]), image.size
    except FileNotFoundError:
        fault = "is gone"
    except (OSError, KeyError, Image.DecompressionBombError):
        fault = "is damaged, or no picture"
    return explain(f"{name} {fault}"), (EXPLAINED_PX, EXPLAINED_PX)


def shrink(pixels: Pixels, longest: int) -> Pixels:
    """Make a picture at most `longest` px on its longer side."""
    height, width = pixels.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return pixels
    size = (max(1, round(width * share)), max(1, round(height * share)))
    shrunk: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk)


def _png(grey: NDArray[np.uint8]) -> bytes:
    done, encoded = cv2.imencode(".png", grey)
    assert done
    return encoded.tobytes()
