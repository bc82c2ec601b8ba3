"""Sheet: the pairs that were found -> overlap.jpg: each photo beside the other one, and that turned like it."""

import io
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from PIL import Image

from pbe.evaluation.overlap.greys import MAX_PIXELS
from pbe.evaluation.overlap.sides import Side
from pbe.evaluation.overlap.windows import TURNS, turn
from pipeline.arrays import Pixels
from pipeline.decoding.colour import on_backdrop
from pipeline.decoding.decode import decode_picture
from pipeline.errors import PhotoError
from pipeline.pictures.tiles import draw_tiles

MOST_ROWS = 40
TILE_PX = 440
JPEG_QUALITY = 88
MOST_NAME = 34  # characters


def draw_sheet(table: pa.Table, training: Side, other: Side) -> bytes:
    """Draw the pairs of OVERLAP, evenly chosen where there are more than MOST_ROWS, as JPEG."""
    count = len(table)
    places = sorted({number * count // MOST_ROWS for number in range(MOST_ROWS)}) if count > MOST_ROWS else range(count)
    chosen = table.take(pa.array(places, pa.int64())).to_pylist()
    rows, labels = [], []
    for row in chosen:
        photo, known = _picture(training, row["photo"]), _picture(other, row["other"])
        turned = None
        if known is not None and row["turn"]:
            turned = np.ascontiguousarray(turn(known, TURNS.index(row["turn"])))
        rows.append([photo, known, turned])
        labels.append([_short(row["photo"], row["split"]), _short(row["other"]), _describe(row)])
    note = f"{len(chosen)} of {count:,} pairs that both sides have"
    figure = draw_tiles(
        rows, titles=["training set", "other side", "the same, turned like it"], labels=labels, note=note
    )
    content = io.BytesIO()
    Image.fromarray(figure).save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()


def _picture(side: Side, name: str) -> Pixels | None:
    """Read a photo as its file stores it, small; what is not at hand leaves a gap."""
    [row] = side.photos.filter(pa.compute.equal(side.photos["name"], name)).to_pylist()[:1]
    try:
        pixels = on_backdrop(decode_picture(side.read(row), max_pixels=MAX_PIXELS))
    except PhotoError:
        return None
    scale = TILE_PX / max(pixels.shape[:2])
    return (
        pixels if scale >= 1 else np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    )


def _describe(row: dict[str, Any]) -> str:
    if not row["turn"]:
        return str(row["found_by"])
    return f"{row['found_by']}: {row['turn']}\n{row['bits']} bits, {row['inliers']} keypoints"


def _short(name: str, split: str = "") -> str:
    short = name if len(name) <= MOST_NAME else f"...{name[-MOST_NAME:]}"
    return f"{short} ({split})" if split else short
