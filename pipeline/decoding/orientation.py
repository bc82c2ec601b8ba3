"""Orientation: EXIF or the Rotation column -> how a photo and its boxes turn upright."""

import numpy as np
from PIL import Image

from pipeline.decoding.headers import check_tags
from pipeline.errors import PhotoError

# EXIF orientation 1..8: how stored pixels turn upright.
TURN_PIXELS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}


TURN_BOX = {
    1: lambda x0, y0, x1, y1: (x0, y0, x1, y1),
    2: lambda x0, y0, x1, y1: (1 - x1, y0, 1 - x0, y1),
    3: lambda x0, y0, x1, y1: (1 - x1, 1 - y1, 1 - x0, 1 - y0),
    4: lambda x0, y0, x1, y1: (x0, 1 - y1, x1, 1 - y0),
    5: lambda x0, y0, x1, y1: (y0, x0, y1, x1),
    6: lambda x0, y0, x1, y1: (1 - y1, x0, 1 - y0, x1),
    7: lambda x0, y0, x1, y1: (1 - y1, 1 - x1, 1 - y0, 1 - x0),
    8: lambda x0, y0, x1, y1: (y0, 1 - x1, y1, 1 - x0),
}


SIDE_SWAPS = (5, 6, 7, 8)  # orientations by which width and height change places
INVERSE_TURN = {**dict(zip(range(1, 9), range(1, 9), strict=True)), 6: 8, 8: 6}
_ROTATION_TO_EXIF = {0: 1, 90: 8, 180: 3, 270: 6}  # degrees counter-clockwise


def find_orientation(image: Image.Image, rotation: float | None, boxes_frame: str) -> tuple[int, int, str]:
    """Find the turns of pixels and boxes, and their name."""
    if rotation is not None:
        quarter = int(rotation) % 360
        if rotation % 90:
            raise PhotoError("bad_rotation", f"Rotation {rotation:g} is not a multiple of 90 degrees")
        return _ROTATION_TO_EXIF[quarter], _ROTATION_TO_EXIF[quarter], f"rotation:{quarter}"
    turn = exif_orientation(image)
    return turn, turn if boxes_frame == "stored" else 1, f"exif:{turn}" if turn != 1 else "none"


def exif_orientation(image: Image.Image) -> int:
    try:
        exif = read_exif(image)
        value = exif.get(0x0112, 1) if exif is not None else 1
    except MemoryError:
        raise
    except Exception:  # EXIF that cannot be parsed, in whatever way, says nothing
        return 1
    return value if isinstance(value, int) and value in TURN_PIXELS else 1


def read_exif(image: Image.Image) -> Image.Exif | None:
    """Read an image's EXIF, without what XMP says; None: it has none.

    Raises:
        PhotoError: it names more values than photos have.
        Exception: of any kind, where it cannot be parsed.
    """
    if image.format == "TIFF":
        return image.getexif()
    block = image.info.get("exif") or _exif_in_text(image)
    if not block:
        return None
    check_tags(block.removeprefix(b"Exif\0\0"))
    exif = Image.Exif()  # Pillow's own holds the orientation of XMP, which viewers do not heed
    exif.load(block)
    return exif


def _exif_in_text(image: Image.Image) -> bytes:
    """Find the EXIF that ImageMagick writes into a PNG as text: hexadecimal, from the fourth line on."""
    text = image.info.get("Raw profile type exif", "")
    return bytes.fromhex("".join(text.split("\n")[3:]))


def box_turn_of(orientation: str, boxes_frame: str) -> int:
    """Find the EXIF orientation by which the boxes of a photo turn, from the name that `find_orientation` gave."""
    kind, _, value = orientation.partition(":")
    if kind == "rotation":
        return _ROTATION_TO_EXIF[int(value)]
    return int(value) if kind == "exif" and boxes_frame == "stored" else 1
