"""Edit inputs: files, URLs, PIL images or arrays -> source, mask and exemplar, or a message that says what is wrong."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pbe.mask_images import Mask, fit_mask, mask_from_image
from pipeline.errors import InputError, PhotoError
from pipeline.photo_headers import check_header
from pipeline.photos import FORMATS, MAX_PHOTO_BYTES, Pixels, decode_photo
from pipeline.storage import filesystem, read_bytes

Picture = str | Path | Image.Image | np.ndarray[Any, Any]
PixelBox = tuple[int, int, int, int]

MAX_PIXELS = 180_000_000
_READING_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def read_picture(picture: Picture, what: str) -> Pixels:
    """Read a source or an exemplar: [h, w, 3] uint8 RGB, upright by its EXIF orientation.

    Args:
        picture: a path or URL, a PIL image, or an array [h, w, 3] or [h, w] uint8.
        what: names it in errors.

    Raises:
        InputError: it is not there, no picture, damaged, or an array of another kind.
    """
    if isinstance(picture, str | Path):
        data = read_file(str(picture), what)
        try:
            return decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=MAX_PIXELS, min_px=1).pixels
        except PhotoError as error:
            raise InputError(f"{what} {picture}: cannot be read as a picture ({error}); give another file") from error
    if isinstance(picture, Image.Image):
        return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3):
        raise InputError(f"{what}: array of {picture.dtype} {list(picture.shape)}; give uint8 [h, w, 3] RGB, 0..255")
    return np.ascontiguousarray(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2))


def read_mask(mask: Picture, source: Pixels) -> Mask:
    """Read the mask of a source: [h, w] bool in the source's size, True = repaint.

    Args:
        mask: white = repaint; a path or URL, a PIL image of any mode, or an array [h, w] of bool, 0/1 or 0..255. One of
            another size but the source's aspect is scaled.

    Raises:
        InputError: it cannot be read, is empty, or has another aspect than the source.
    """
    image, name = _open_mask(mask)
    levels = mask_from_image(image)
    height, width = source.shape[:2]
    fitted = fit_mask(levels, height, width)
    if fitted is None:
        turned = fit_mask(levels.T, height, width) is not None
        hint = (
            "turned by 90 degrees it would fit: make it on the upright picture" if turned else "make it on the source"
        )
        raise InputError(f"{name}: {levels.shape[1]} x {levels.shape[0]} px for a source of {width} x {height}; {hint}")
    if not fitted.any():
        raise InputError(f"{name}: marks nothing to repaint; paint what is to be repainted white, the rest black")
    return fitted


def box_mask(box: str, source: Pixels) -> Mask:
    """Fill a box: `x0,y0,x1,y1` in px of the upright source, x1 and y1 exclusive -> [h, w] bool, True = repaint.

    Raises:
        InputError: it is no box, or reaches beyond the source.
    """
    height, width = source.shape[:2]
    try:
        x0, y0, x1, y1 = (int(part) for part in box.split(","))
    except ValueError as error:
        raise InputError(f"--box {box}: give four whole numbers x0,y0,x1,y1 in px") from error
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise InputError(f"--box {box}: is no box inside {width} x {height} px; give 0 <= x0 < x1 <= {width} and so on")
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def _open_mask(mask: Picture) -> tuple[Image.Image, str]:
    """Open a mask; its pixels are decoded."""
    if isinstance(mask, Image.Image):
        return ImageOps.exif_transpose(mask), "mask"
    if isinstance(mask, np.ndarray):
        plain = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
        if plain.ndim != 2 or plain.dtype not in (np.bool_, np.uint8):
            raise InputError(f"mask: array of {mask.dtype} {list(mask.shape)}; give [h, w] of bool or uint8")
        return Image.fromarray(plain), "mask"
    name = f"mask {mask}"
    data = read_file(str(mask), "mask")
    try:
        check_header(data, max_pixels=MAX_PIXELS)
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise PhotoError("bomb", f"{image.width} x {image.height} px")
        return ImageOps.exif_transpose(image), name
    except (PhotoError, *_READING_ERRORS) as error:
        raise InputError(f"{name}: cannot be read as a picture ({error}); give a PNG, white = repaint") from error


def read_file(path: str, what: str) -> bytes:
    """Read a local or remote file, of a photo's size at most.

    Raises:
        InputError: it cannot be read.
    """
    fs, place = filesystem(path)
    try:
        data = read_bytes(fs, place, end=MAX_PHOTO_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{what} {path}: cannot be read ({reason}); give an existing file or URL") from error
    if len(data) > MAX_PHOTO_BYTES:
        raise InputError(f"{what} {path}: larger than {MAX_PHOTO_BYTES >> 20} MiB; give a smaller file")
    return data
