"""Inputs: files, URLs, PIL images or arrays -> source, mask and exemplar, or a message that says what is wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pbe.editing.case import Case
from pipeline.arrays import Hole, Mask, PixelBox, Pixels
from pipeline.decoding.carried import Carried, read_carried
from pipeline.decoding.colour import Planes, on_backdrop, split, split_mask
from pipeline.decoding.decode import decode_mask_planes, decode_picture, upright_size
from pipeline.decoding.orientation import TURN_PIXELS, exif_orientation
from pipeline.draws.mask_arrays import planes_of
from pipeline.draws.mask_pictures import find_hole, has_shape_of, resize_mask
from pipeline.errors import DrawError, InputError, PhotoError
from pipeline.photos.bounded_reads import MAX_PHOTO_BYTES
from pipeline.storage.names import read_stored
from pipeline.storage.urls import filesystem
from schemas.pairs import Repaint

Picture = str | Path | Image.Image | np.ndarray[Any, Any]

MAX_PIXELS = 180_000_000


@dataclass(frozen=True)
class CasePictures:
    """What a case is made from, decoded."""

    source: Planes
    """As its file has it."""
    mask: Hole
    """[h, w] bool, True = repaint."""
    exemplar: Pixels
    """[h, w, 3] uint8 RGB."""
    carried: Carried
    """What else the source's file holds."""


def read_case(case: Case, *, repaint: Repaint = "white") -> CasePictures:
    """Read a case's pictures. Their headers are compared before any pixel is decoded.

    Args:
        repaint: see `read_mask`.

    Raises:
        InputError: a file is missing or damaged, the mask is none or of another shape, or the box leaves the source.
    """
    names = {what: f"{what} {path}" for what, path in case.inputs.items()}
    files = {what: read_file(path, what) for what, path in case.inputs.items()}
    # Shapes first: of all that can be wrong they cost the least to find out.
    sizes = {what: read_size(files[what], name) for what, name in names.items()}
    if case.mask:
        _refuse_other_shape(names["mask"], *sizes["mask"], *sizes["source"])
    else:
        box_in(case.box, *sizes["source"])
    source, exemplar = (_decode(files[what], names[what], decode_picture) for what in ("source", "exemplar"))
    if case.box:
        mask = box_mask(case.box, source.pixels)
    else:
        hole = _find_hole(_decode(files["mask"], names["mask"], decode_mask_planes), repaint, names["mask"])
        mask = _fit_mask(hole, source.pixels, names["mask"])
    carried = read_carried(files["source"], size=sizes["source"], max_pixels=MAX_PIXELS)
    return CasePictures(source, mask, on_backdrop(exemplar), carried)


def read_picture(picture: Picture, what: str) -> Pixels:
    """Read a source or an exemplar: [h, w, 3] uint8 sRGB, upright by its EXIF orientation, on white where transparent.

    Args:
        picture: a path or URL, a PIL image, or an array [h, w, 3] or [h, w] uint8.
        what: names it in errors.

    Raises:
        InputError: it is missing, not a picture, damaged, or an array of another kind.
    """
    if isinstance(picture, str | Path):
        return on_backdrop(_decode(read_file(str(picture), what), f"{what} {picture}", decode_picture))
    if isinstance(picture, Image.Image):
        return on_backdrop(_split_image(picture, what, lambda image: split(image, image.info.get("icc_profile"))))
    if not isinstance(picture, np.ndarray):
        raise InputError(f"{what}: is a {type(picture).__name__}; give a path or URL, a PIL image, or an array")
    if picture.dtype != np.uint8 or picture.shape[2:] not in ((), (3,)) or picture.ndim < len("hw") or not picture.size:
        raise InputError(f"{what}: array of {picture.dtype} {list(picture.shape)}; give uint8 [h, w, 3] RGB, 0..255")
    return np.ascontiguousarray(picture if picture.ndim == len("hwc") else np.repeat(picture[..., None], 3, axis=2))


def read_hole(
    mask: Picture | None, box: str | Sequence[int] | None, source: Pixels, *, repaint: Repaint = "white"
) -> Hole:
    """Read a mask, or fill a box, whichever is given: [h, w] bool in the source's size, True = repaint.

    Raises:
        InputError: both are given or none, or see `read_mask` and `box_mask`.
    """
    if box is not None and mask is None:
        return box_mask(box_text(box), source)
    if mask is not None and box is None:
        return read_mask(mask, source, repaint=repaint)
    raise InputError("mask, box: give one of the two")


def read_mask(mask: Picture, source: Pixels, *, repaint: Repaint = "white") -> Hole:
    """Read the mask of a source: [h, w] bool in the source's size, True = repaint.

    Args:
        mask: a path or URL, a PIL image of any mode, or an array [h, w]: bool, integers (0 and 1, or 0..255), or floats
            0..1; also [h, w, 3] uint8 RGB. One of another size but the source's aspect is scaled.
        repaint: what of it is repainted; see `pipeline.draws.mask_pictures.find_hole`.

    Raises:
        InputError: it cannot be read, is no mask, is empty, or has another aspect than the source.
    """
    if isinstance(mask, str | Path):
        name = f"mask {mask}"
        planes = _decode(read_file(str(mask), "mask"), name, decode_mask_planes)
    else:
        name = "mask"
        planes = _split_image(mask, name, split_mask) if isinstance(mask, Image.Image) else planes_of(mask)
    return _fit_mask(_find_hole(planes, repaint, name), source, name)


def box_mask(box: str, source: Pixels) -> Hole:
    """Fill a box: `x0,y0,x1,y1` in px of the upright source, x1 and y1 exclusive -> [h, w] bool, True = repaint.

    Raises:
        InputError: it is not a box, or reaches beyond the source.
    """
    height, width = source.shape[:2]
    x0, y0, x1, y1 = box_in(box, width, height)
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def box_text(box: str | Sequence[int]) -> str:
    """Write a box of four whole numbers as the flag has it; text stays as it is.

    Raises:
        InputError: it holds something else.
    """
    try:
        return box if isinstance(box, str) else ",".join(str(index(side)) for side in box)
    except TypeError as error:
        raise InputError(f"box {box!r}: give four whole numbers x0, y0, x1, y1 in px") from error


def box_in(box: str, width: int, height: int) -> PixelBox:
    """Read a box that must lie in a picture of that size.

    Raises:
        InputError: it is not a box, or reaches beyond the picture.
    """
    x0, y0, x1, y1 = parse_box(box)
    if x1 > width or y1 > height:
        raise InputError(
            f"--box {box}: leaves the source of {width} x {height} px; give x1 up to {width} and y1 up to {height}"
        )
    return x0, y0, x1, y1


def parse_box(box: str) -> PixelBox:
    """Read `x0,y0,x1,y1`.

    Raises:
        InputError: these are not four whole numbers, or there is no pixel in the box.
    """
    try:
        x0, y0, x1, y1 = (int(part) for part in box.split(","))
    except ValueError as error:
        raise InputError(f"--box {box}: give four whole numbers x0,y0,x1,y1 in px") from error
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise InputError(f"--box {box}: no pixel lies in it; give 0 <= x0 < x1 and 0 <= y0 < y1")
    return x0, y0, x1, y1


def _fit_mask(mask: Mask, source: Pixels, name: str) -> Hole:
    """Bring a mask to the source's size: [h, w] bool, True = repaint."""
    height, width = source.shape[:2]
    rows, columns = mask.shape
    _refuse_other_shape(name, columns, rows, width, height)
    fitted = mask if (columns, rows) == (width, height) else resize_mask(mask, width, height)
    if not fitted.any():
        raise InputError(f"{name}: nothing of it is left at the source's {width} x {height} px; make it at that size")
    return fitted.astype(bool)


def _refuse_other_shape(name: str, columns: int, rows: int, width: int, height: int) -> None:
    """Refuse a mask of columns x rows px that is more than a scaled one of a source of width x height px."""
    if has_shape_of(columns, rows, width, height):
        return
    remedy = "make it on the source"
    if has_shape_of(rows, columns, width, height):  # made on the picture as it is stored, not as it is shown
        remedy = "turned by 90 degrees it would fit: make it on the upright picture"
    raise InputError(f"{name}: {columns} x {rows} px for a source of {width} x {height}; {remedy}")


def _find_hole(planes: Planes, repaint: Repaint, name: str) -> Mask:
    try:
        return find_hole(planes, repaint)
    except DrawError as error:
        raise InputError(f"{name}: is not a mask as it stands: {error.detail}") from error


def _split_image(image: Image.Image, name: str, read: Callable[[Image.Image], Planes]) -> Planes:
    """Split a PIL image into its planes, upright by its EXIF."""
    try:
        image.load()  # by which Pillow turns TIFF, and no other format, upright
        return read(image).turned(TURN_PIXELS[exif_orientation(image)])
    except PhotoError as error:
        raise _unreadable(name, error) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: cannot be read as a picture ({error}); give another one") from error


def read_size(data: bytes, name: str) -> tuple[int, int]:
    """Read a picture's upright width and height from its header.

    Raises:
        InputError: it is no picture.
    """
    try:
        return upright_size(data, max_pixels=MAX_PIXELS)
    except PhotoError as error:
        raise _unreadable(name, error) from error


def _decode(data: bytes, name: str, decode: Callable[..., Planes]) -> Planes:
    try:
        return decode(data, max_pixels=MAX_PIXELS)
    except PhotoError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: PhotoError) -> InputError:
    return InputError(f"{name}: cannot be read as a picture ({error}); give another file")


def read_file(path: str, what: str) -> bytes:
    """Read a local or remote file, of a photo's size at most.

    Raises:
        InputError: it cannot be read.
    """
    fs, place = filesystem(path)
    try:
        data = read_stored(fs, place, end=MAX_PHOTO_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{what} {path}: cannot be read ({reason}); give an existing file or URL") from error
    if len(data) > MAX_PHOTO_BYTES:
        raise InputError(f"{what} {path}: larger than {MAX_PHOTO_BYTES >> 20} MiB; give a smaller file")
    return data
