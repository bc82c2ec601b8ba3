"""Edit inputs: files, URLs, PIL images or arrays -> source, mask and exemplar, or a message that says what is wrong."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pbe.canvas import Mask
from pipeline.errors import DrawError, InputError, PhotoError
from pipeline.mask_files import cut_at_half, decode_grey, fit_mask
from pipeline.photos import MAX_PHOTO_BYTES, Pixels, decode_photo
from pipeline.storage import filesystem, read_bytes

Picture = str | Path | Image.Image | np.ndarray[Any, Any]
PixelBox = tuple[int, int, int, int]

MAX_PIXELS = 180_000_000
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


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
        mask: white = repaint, cut at half brightness; a path or URL, a PIL image of any mode, or an array [h, w] of
            bool, 0/1 or 0..255. One of another size but the source's aspect is scaled.

    Raises:
        InputError: it cannot be read, is empty, or has another aspect than the source.
    """
    name = f"mask {mask}" if isinstance(mask, str | Path) else "mask"
    data = _mask_bytes(mask)
    height, width = source.shape[:2]
    try:
        found = cut_at_half(decode_grey(data, max_pixels=MAX_PIXELS))
    except PhotoError as error:
        raise InputError(f"{name}: cannot be read as a picture ({error}); give a PNG, white = repaint") from error
    if not found.any():
        raise InputError(f"{name}: marks nothing to repaint; paint what is to be repainted white, the rest black")
    try:
        fitted = fit_mask(found, width, height)
    except DrawError as error:
        size = f"{found.shape[1]} x {found.shape[0]} px for a source of {width} x {height}"
        raise InputError(f"{name}: {size}; {_remedy(found, width, height)}") from error
    if not fitted.any():
        raise InputError(f"{name}: nothing of it is left at the source's {width} x {height} px; make it at that size")
    return fitted.astype(bool)


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


def _mask_bytes(mask: Picture) -> bytes:
    """Give a mask as the bytes of a picture file."""
    if isinstance(mask, str | Path):
        return read_file(str(mask), "mask")
    if isinstance(mask, Image.Image):
        image = mask
    else:
        plain = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
        if plain.ndim != 2 or plain.dtype not in (np.bool_, np.uint8):
            raise InputError(f"mask: array of {mask.dtype} {list(mask.shape)}; give [h, w] of bool or uint8")
        image = Image.fromarray(plain)
    content = io.BytesIO()
    upright = ImageOps.exif_transpose(image)
    (upright if upright.mode in _PNG_MODES else upright.convert("RGB")).save(content, "PNG", compress_level=1)
    return content.getvalue()


def _remedy(mask: NDArray[np.uint8], width: int, height: int) -> str:
    """Tell whether a mask of another shape was made on the picture as it is stored, not as it is shown."""
    try:
        fit_mask(np.ascontiguousarray(mask.T), width, height)
    except DrawError:
        return "make it on the source"
    return "turned by 90 degrees it would fit: make it on the upright picture"


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
