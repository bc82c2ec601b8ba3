"""Photos: an image id -> bytes -> upright RGB pixels, or the reason why not.

Photos lie in folders (`{ImageID}.jpg`, or one folder deeper) or in tar files. Pixels are uint8 RGB, [h, w, 3].
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.arrays import Box, Pixels
from pipeline.decoding.colour import Planes, on_backdrop, split, split_mask
from pipeline.decoding.depth import has_12_bits, read_12_bits
from pipeline.decoding.headers import MeteredBytes, check_header, check_scans
from pipeline.decoding.orientation import (
    INVERSE_TURN,
    SIDE_SWAPS,
    TURN_BOX,
    TURN_PIXELS,
    exif_orientation,
    find_orientation,
)
from pipeline.decoding.profiles import one_way, own_space
from pipeline.errors import PhotoError
from pipeline.photos.formats import FORMATS

MAX_EDGE_PX = 1 << 20
LARGE_PIXELS = 32_000_000  # decoding less costs no more than holding the largest upright photo
BYTES_A_PIXEL = 14  # while it is decoded, the photo's own bytes aside
_WIDTH, _LENGTH = 256, 257  # of TIFF
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # of TIFF
_XMP = ("xmp", "XML:com.adobe.xmp")  # as Pillow names it
_COSTLY_FORMATS = ("JPEG2000", "WEBP")  # twice the memory a pixel, and half the pixels allowed


Reading = Callable[[Image.Image, bytes | None], Planes]

Image.MAX_IMAGE_PIXELS = None  # our own limit is checked right after the header is read
_LARGE_PHOTO = threading.Lock()


@dataclass(frozen=True)
class Photo:
    """An upright photo.

    Args:
        pixels: [h, w, 3] uint8 RGB.
        orientation: what turned it, as the index records it: none | exif:N | rotation:DEGREES.
        box_turn: the EXIF orientation by which its boxes turn.
    """

    pixels: Pixels
    orientation: str
    box_turn: int

    def turn_box(self, box: Box) -> Box:
        """Turn a box of the table, cut to the photo, into the upright frame."""
        x0, y0, x1, y1 = (min(1.0, max(0.0, side)) for side in box)
        turned: Box = TURN_BOX[self.box_turn](x0, y0, x1, y1)
        return turned


def decode_photo(data: bytes, *, rotation: float | None, boxes_frame: str, max_pixels: int, min_px: int) -> Photo:
    """Decode a photo and turn it upright.

    Colours go through their profile to sRGB, alpha lies on white, 16 bits become 8.

    Memory: at most BYTES_A_PIXEL x `max_pixels` for the one large photo that a process decodes at a time, and for each
    thread its upright photo, 3 bytes a px, and as much again while a crop of all of it is resized. A MemoryError is
    raised as it is: it may pass, and must not drop a photo.

    Args:
        rotation: the Rotation column, in degrees counter-clockwise by which photo and boxes turn; None where it is
            silent: then EXIF turns the photo, and its boxes unless `boxes_frame` is `exif`.
        max_pixels: larger photos are refused before they are decoded.
        min_px: the shortest side allowed.

    Raises:
        PhotoError: with the reason.
    """
    with open_header(data, max_pixels=max_pixels, min_px=min_px) as image:
        turn, box_turn, orientation = find_orientation(image, rotation, boxes_frame)
        with _alone_if_large(image.width * image.height):
            return Photo(on_backdrop(_decode(image, data, split, turn)), orientation, box_turn)


def decode_picture(data: bytes, *, max_pixels: int) -> Planes:
    """Decode a picture to what its file holds: colours in their own space, with alpha, upright by its EXIF.

    On white and in sRGB (`on_backdrop`) it is what `decode_photo` gives.

    Raises:
        PhotoError: with the reason.
    """
    return _decode_upright(data, split, max_pixels=max_pixels)


def decode_mask_planes(data: bytes, *, max_pixels: int) -> Planes:
    """Decode a mask to its numbers, and alpha, upright by its EXIF.

    Raises:
        PhotoError: with the reason.
    """
    return _decode_upright(data, lambda image, _: split_mask(image), max_pixels=max_pixels)


@contextmanager
def open_header(data: bytes, *, max_pixels: int, min_px: int = 1) -> Iterator[Image.Image]:
    """Open a picture whose size and kind are allowed; no pixel is decoded.

    Raises:
        PhotoError: with the reason.
    """
    with _open_image(data, max_pixels) as image:
        _check_opened(image, data, max_pixels=max_pixels, min_px=min_px)
        yield image


def upright_size(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """Read a photo's width and height in px, turned upright by its EXIF, from its header; no pixel is decoded.

    Raises:
        PhotoError: with the reason, as `decode_photo`.
    """
    with open_header(data, max_pixels=max_pixels) as image:
        # TIFF's size is turned already by some versions of Pillow: its tags hold the stored one.
        tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
        width, height = int(tags.get(_WIDTH, image.width)), int(tags.get(_LENGTH, image.height))
        return (height, width) if exif_orientation(image) in SIDE_SWAPS else (width, height)


@contextmanager
def _explained() -> Iterator[None]:
    """Make a reason of whatever a decoder raises on hostile bytes; but memory may be short for other causes."""
    try:
        yield
    except (MemoryError, PhotoError):
        raise
    except Exception as error:
        raise PhotoError("corrupt", f"{type(error).__name__}: {error}"[:200]) from error


def _open_image(data: bytes, max_pixels: int) -> Image.Image:
    check_header(data, max_pixels=max_pixels)
    file = MeteredBytes(data)
    with _explained():
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError as error:
            raise PhotoError("not_an_image", f"{len(data)} bytes beginning {data[:12]!r}") from error
    file.opened()
    for name in _XMP:  # Pillow would turn a TIFF by it, which viewers do by EXIF alone
        image.info.pop(name, None)
    return image


def _check_opened(image: Image.Image, data: bytes, *, max_pixels: int, min_px: int) -> None:
    """Refuse a photo by its size and kind, before any pixel is decoded."""
    width, height = image.size
    allowed = max_pixels // 2 if image.format in _COSTLY_FORMATS else max_pixels
    if max(width * height, _tile_pixels(image)) > allowed or max(width, height) > MAX_EDGE_PX:
        raise PhotoError("bomb", f"{width} x {height} px, of {image.format} at most {allowed}")
    if min(width, height) < max(1, min_px):
        raise PhotoError("too_small", f"{width} x {height} px")
    if image.format in ("JPEG", "MPO"):
        check_scans(data, pixels=width * height)
        return
    with _explained():  # GIF looks for its second frame only now
        if getattr(image, "is_animated", False):
            raise PhotoError("animated", f"{image.format} of several frames")


def _tile_pixels(image: Image.Image) -> int:
    """Return the pixels of a TIFF's tile: its decoder holds a full one, even where it is larger than the photo."""
    tags = getattr(image, "tag_v2", {})
    with _explained():
        return int(tags.get(_TILE_WIDTH, 1)) * int(tags.get(_TILE_LENGTH, 1))


def _alone_if_large(pixels: int) -> AbstractContextManager[Any]:
    """Let one photo of more than LARGE_PIXELS be decoded at a time."""
    return _LARGE_PHOTO if pixels > LARGE_PIXELS else nullcontext()


def _decode_upright(data: bytes, read: Reading, *, max_pixels: int) -> Planes:
    with open_header(data, max_pixels=max_pixels) as image, _alone_if_large(image.width * image.height):
        return _decode(image, data, read, exif_orientation(image))


def _decode(image: Image.Image, data: bytes, read: Reading, turn: int) -> Planes:
    """Decode to planes, turned from how they are stored by an EXIF orientation."""
    # TIFF is the one format that Pillow turns upright by itself: turn it back.
    undo = INVERSE_TURN[exif_orientation(image)] if image.format == "TIFF" else 1
    planes = _decode_plain(image, data) if read is split else None
    with _explained():
        planes = planes or _decode_any(image, data, read)
    image.close()  # frees its own copy before the next one is made
    return planes.turned(TURN_PIXELS[undo]).turned(TURN_PIXELS[turn])


def _decode_plain(image: Image.Image, data: bytes) -> Planes | None:
    """Decode a plain JPEG by OpenCV, which is faster; None: it is none, or not one for it."""
    profile, kind = image.info.get("icc_profile"), image.mode
    plain = image.format == "JPEG" and kind in ("RGB", "L") and one_way(profile, kind) is None
    # It keeps quiet when a JPEG ends early: only files with their end marker go there.
    if not plain or not data.endswith(b"\xff\xd9"):
        return None
    try:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # it has limits of its own; Pillow gives the reason, or the pixels
        return None
    return None if pixels is None else Planes(pixels, space=own_space(profile, kind))


def _decode_any(image: Image.Image, data: bytes, read: Reading) -> Planes:
    """Decode by Pillow."""
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error).lower():
            raise
        raise PhotoError("truncated", str(error)[:200]) from error
    profile = image.info.get("icc_profile")
    if read is split and has_12_bits(image, data):
        upper = np.array(image)
        image.close()  # two copies are enough
        return read(Image.fromarray(read_12_bits(data, upper)), profile)
    return read(image, profile)
