"""Photos: folders -> photos in the order of their contents, upright; and squares of them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.ahead import work_ahead
from pipeline.arrays import Pixels
from pipeline.decoding.decode import decode_photo
from pipeline.decoding.resize import cut
from pipeline.errors import InputError, PhotoError
from pipeline.photos.bounded_reads import read_picture
from pipeline.photos.formats import is_picture
from pipeline.storage.folder import Folder
from pipeline.storage.globs import expand, files_below
from pipeline.storage.urls import absolute, is_local

LEAST_PX, MOST_PIXELS = 32, 180_000_000
SQUARES = 7  # that `object_squares` cuts of a photo, at most
THREADS, AHEAD = 4, 16
_OPEN_FLAG = "--photos"
Progress = Callable[[], object]
CutSquares = Callable[[Pixels], list[Pixels]]
"""A photo, [h, w, 3] uint8 sRGB -> squares of it."""


def list_photos(folders: Sequence[str], *, limit: int, advance: Progress) -> dict[str, str]:
    """List the photos in folders and their sub-folders.

    Args:
        limit: take the first ones only; 0: all.
        advance: called after each file.

    Returns:
        sha256 of a photo's bytes -> its place, in the order of the hashes: neither names nor copies matter.

    Raises:
        InputError: a folder is missing, or there is no photo.
    """
    places = [place for folder in folders for place in _pictures(folder)]
    if not places:
        raise InputError(f"{_OPEN_FLAG} {' '.join(folders)}: holds no photos; give folders of some")
    found: dict[str, str] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for place, sha256 in zip(places, work_ahead(pool, _sha256_of, places, ahead=AHEAD), strict=True):
            found.setdefault(sha256, place)
            advance()
    kept = sorted(found)[: limit or None]
    return {sha256: found[sha256] for sha256 in kept}


def read_squares(
    places: Sequence[str], cut_squares: CutSquares, *, advance: Progress
) -> Iterator[list[Pixels] | PhotoError]:
    """Decode photos, turn them upright and cut them: the squares of each in order, or why it cannot be used.

    Only squares wait, so that no more than a few photos are in memory, however large they are.
    """

    def read(place: str) -> list[Pixels] | PhotoError:
        photo = _decode(place)
        return photo if isinstance(photo, PhotoError) else cut_squares(photo)

    with ThreadPoolExecutor(THREADS) as pool:
        for squares in work_ahead(pool, read, places, ahead=AHEAD):
            advance()
            yield squares


def end_squares(photo: Pixels, size: int) -> list[Pixels]:
    """Cut the two largest squares at the ends of a photo, which cover what is not longer than two: [size, size, 3]."""
    height, width = photo.shape[:2]
    side = min(height, width)
    corners = sorted({(0, 0), (width - side, height - side)})
    return [cut(photo, (left, top, left + side, top + side), size) for left, top in corners]


def object_squares(photo: Pixels, size: int) -> list[Pixels]:
    """Cut squares as large as objects are: those of `end_squares`, and five of half their side, corners and middle."""
    height, width = photo.shape[:2]
    side = min(height, width) // 2
    ends = [(left, top) for top in (0, height - side) for left in (0, width - side)]
    corners = [*ends, ((width - side) // 2, (height - side) // 2)]
    return end_squares(photo, size) + [cut(photo, (left, top, left + side, top + side), size) for left, top in corners]


def _pictures(folder: str) -> list[str]:
    root = absolute(folder)
    if is_local(folder):
        if not Path(root).is_dir():
            raise InputError(f"{_OPEN_FLAG} {folder}: is no folder; give one of photos")
        return sorted(str(path) for path in files_below(root) if is_picture(path.name))
    try:
        return sorted(place for place in expand(f"{root}/**/*") if is_picture(place))
    except InputError as error:
        raise InputError(f"{_OPEN_FLAG} {folder}: {error}") from error


def _read(place: str) -> bytes:
    folder, _, name = place.rpartition("/")
    return read_picture(Folder(folder or "/"), name)


def _sha256_of(place: str) -> str:
    """Hash a photo's bytes; one that cannot be read has none: `read_squares` says why."""
    try:
        data = _read(place)
    except PhotoError:
        data = b""
    return hashlib.sha256(data).hexdigest()


def _decode(place: str) -> Pixels | PhotoError:
    try:
        data = _read(place)
        return decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=MOST_PIXELS, min_px=LEAST_PX).pixels
    except PhotoError as error:
        return error
