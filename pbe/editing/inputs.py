"""Edit inputs: files, URLs, PIL images or arrays -> source, mask and exemplar, or a message that says what is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.arrays import Hole, Pixels
from pipeline.draws.mask_pictures import brightness, cut_at_half, fit_mask
from pipeline.errors import DrawError, InputError, PhotoError
from pipeline.photos.bounded_reads import MAX_PHOTO_BYTES
from pipeline.photos.colour import to_rgb
from pipeline.photos.decode import decode_photo
from pipeline.storage.retries import read_bytes
from pipeline.storage.urls import filesystem

Picture = str | Path | Image.Image | np.ndarray[Any, Any]

MAX_PIXELS = 180_000_000


def read_picture(picture: Picture, what: str) -> Pixels:
    """Read a source or an exemplar: [h, w, 3] uint8 RGB, upright by its EXIF orientation, on white where transparent.

    Args:
        picture: a path or URL, a PIL image, or an array [h, w, 3] or [h, w] uint8.
        what: names it in errors.

    Raises:
        InputError: it is not there, no picture, damaged, or an array of another kind.
    """
    return _read_pixels(picture, what, backdrop="white")


def read_mask(mask: Picture, source: Pixels) -> Hole:
    """Read the mask of a source: [h, w] bool in the source's size, True = repaint.

    Args:
        mask: white = repaint, cut at half brightness, transparent = black; a path or URL, a PIL image of any mode, or
            an array [h, w] of bool, 0/1 or 0..255. One of another size but the source's aspect is scaled.

    Raises:
        InputError: it cannot be read, is empty, or has another aspect than the source.
    """
    name = f"mask {mask}" if isinstance(mask, str | Path) else "mask"
    grey = _read_grey(mask)
    height, width = source.shape[:2]
    found = cut_at_half(grey)
    if not found.any():
        raise InputError(
            f"{name}: marks nothing to repaint, its brightest pixel has {grey.max()} of 255; paint what is to be "
            "repainted white, the rest black"
        )
    try:
        fitted = fit_mask(found, width, height)
    except DrawError as error:
        size = f"{found.shape[1]} x {found.shape[0]} px for a source of {width} x {height}"
        raise InputError(f"{name}: {size}; {_remedy(found, width, height)}") from error
    if not fitted.any():
        raise InputError(f"{name}: nothing of it is left at the source's {width} x {height} px; make it at that size")
    return fitted.astype(bool)


def box_mask(box: str, source: Pixels) -> Hole:
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


def _read_grey(mask: Picture) -> NDArray[np.uint8]:
    """Read a mask's brightness: [h, w]."""
    if isinstance(mask, np.ndarray) and mask.dtype in (np.bool_, np.uint8):
        plain = mask[..., 0] if mask.ndim == len("hwc") and mask.shape[2] == 1 else mask
        if plain.ndim == len("hw") and plain.size:
            return plain.astype(np.uint8)
    return brightness(_read_pixels(mask, "mask", backdrop="black"))


def _read_pixels(picture: Picture, what: str, *, backdrop: str) -> Pixels:
    if isinstance(picture, str | Path):
        data = read_file(str(picture), what)
        try:
            photo = decode_photo(
                data, rotation=None, boxes_frame="stored", max_pixels=MAX_PIXELS, min_px=1, backdrop=backdrop
            )
        except PhotoError as error:
            raise InputError(f"{what} {picture}: cannot be read as a picture ({error}); give another file") from error
        return photo.pixels
    if isinstance(picture, Image.Image):
        try:
            upright = ImageOps.exif_transpose(picture)
            return to_rgb(upright, upright.info.get("icc_profile"), backdrop=backdrop)
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{what}: cannot be read as a picture ({error}); give another one") from error
    if not isinstance(picture, np.ndarray):
        raise InputError(f"{what}: is a {type(picture).__name__}; give a path or URL, a PIL image, or an array")
    if picture.dtype != np.uint8 or picture.shape[2:] not in ((), (3,)) or picture.ndim < len("hw") or not picture.size:
        raise InputError(f"{what}: array of {picture.dtype} {list(picture.shape)}; give uint8 [h, w, 3] RGB, 0..255")
    return np.ascontiguousarray(picture if picture.ndim == len("hwc") else np.repeat(picture[..., None], 3, axis=2))


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
