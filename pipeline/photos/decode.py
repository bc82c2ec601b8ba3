"""Photos: an image id -> bytes -> upright RGB pixels, or the reason why not.

Photos lie in folders (`{ImageID}.jpg`, or one folder deeper) or in tar files. Pixels are uint8 RGB, [h, w, 3].
"""

import errno
import functools
import hashlib
import io
import stat
import tarfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import cv2
import numpy as np
import pyarrow as pa
from fsspec.implementations.http import HTTPFileSystem
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.errors import InputError, PhotoError
from pipeline.photos.colour import is_table, to_rgb
from pipeline.photos.headers import MeteredBytes, check_header, check_scans, check_tags
from pipeline.planning.plan import PLACES
from pipeline.storage.folder import Folder, expand, filesystem, is_local, read_bytes, with_retries

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # x_min y_min x_max y_max, shares of the photo

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".mpo")
# What SUFFIXES names. Pillow knows 40 more, some of which start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000")  # MPO comes with JPEG
MAX_PHOTO_BYTES = 64 << 20  # up to 48 photos wait for their turn; a JPEG of 180 MP has about 50 MiB
MAX_PATH_BYTES = 1024  # an S3 key has no more
MAX_EDGE_PX = 1 << 20
LARGE_PIXELS = 32_000_000  # decoding less costs no more than holding the largest upright photo
BYTES_A_PIXEL = 14  # while it is decoded, the photo's own bytes aside
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # of TIFF
_COSTLY_FORMATS = ("JPEG2000", "WEBP")  # twice the memory a pixel, and half the pixels allowed
PROBED_PHOTOS = 32
ARCHIVE_BLOCK_BYTES = 8 << 20

# EXIF orientation 1..8: how stored pixels turn upright.
_TURN_PIXELS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p),
}
_TURN_BOX = {
    1: lambda x0, y0, x1, y1: (x0, y0, x1, y1),
    2: lambda x0, y0, x1, y1: (1 - x1, y0, 1 - x0, y1),
    3: lambda x0, y0, x1, y1: (1 - x1, 1 - y1, 1 - x0, 1 - y0),
    4: lambda x0, y0, x1, y1: (x0, 1 - y1, x1, 1 - y0),
    5: lambda x0, y0, x1, y1: (y0, x0, y1, x1),
    6: lambda x0, y0, x1, y1: (1 - y1, x0, 1 - y0, x1),
    7: lambda x0, y0, x1, y1: (1 - y1, 1 - x1, 1 - y0, 1 - x0),
    8: lambda x0, y0, x1, y1: (y0, 1 - x1, y1, 1 - x0),
}
_INVERSE_TURN = {**dict(zip(range(1, 9), range(1, 9), strict=True)), 6: 8, 8: 6}
_ROTATION_TO_EXIF = {0: 1, 90: 8, 180: 3, 270: 6}  # degrees counter-clockwise

Image.MAX_IMAGE_PIXELS = None  # our own limit is checked right after the header is read
_LARGE_PHOTO = threading.Lock()


@dataclass(frozen=True)
class Photo:
    """An upright photo.

    Args:
        pixels: [h, w, 3] uint8 RGB.
        orientation: what turned it, as the index tells it: none | exif:N | rotation:DEGREES.
        box_turn: the EXIF orientation by which its boxes turn.
    """

    pixels: Pixels
    orientation: str
    box_turn: int

    def turn_box(self, box: Box) -> Box:
        """Turn a box of the table, cut to the photo, into the upright frame."""
        x0, y0, x1, y1 = (min(1.0, max(0.0, side)) for side in box)
        turned: Box = _TURN_BOX[self.box_turn](x0, y0, x1, y1)
        return turned


class PhotoStore:
    """Where photos are: folders and tar files, given by `--images`.

    Raises:
        InputError: a root is absent, holds no photos, or is a compressed tar.
    """

    def __init__(self, roots: tuple[str, ...], *, anonymous: bool) -> None:
        self.anonymous = anonymous
        self.folders: list[Folder] = []
        self.archives: list[str] = []
        for pattern in roots:
            for root in expand(pattern, anonymous=anonymous):
                self._add(root)

    def places(self) -> Iterator[pa.Table]:
        """List the photos in the tar files, as PLACES."""
        for archive in self.archives:
            yield index_archive(archive, anonymous=self.anonymous)

    def fetch(self, image_id: str, *, archive: str | None = None, offset: int = 0, size: int = 0) -> bytes:
        """Read a photo's bytes.

        Args:
            archive: the tar file that holds it, with its place there.

        Raises:
            PhotoError: it is nowhere, empty or too large, or its id would leave the folder.
            OSError: storage failed for a passing cause, after all retries.
        """
        data = self._read_archived(archive, offset, size) if archive else self._read_file(image_id)
        if not data:
            raise PhotoError("empty", "0 bytes")
        return data

    def _add(self, root: str) -> None:
        if root.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
            raise InputError(f"--images {root}: photos cannot be read at random from a compressed tar; unpack it first")
        if root.endswith(".tar"):
            self.archives.append(root)
            return
        folder = Folder(root, self.anonymous)
        if not folder.local:
            self.folders.append(folder)  # told apart by the first photos planned: listing millions of objects is slow
            return
        path = Path(folder.path(""))
        if not path.is_dir():
            raise InputError(f"--images {root}: no such folder; give the folder, or tar files, that hold the photos")
        archives = sorted(str(file) for file in path.glob("*.tar"))
        self.archives += archives
        if any(file.suffix in SUFFIXES for pattern in ("*", "*/*") for file in path.glob(pattern)):
            self.folders.append(folder)
        elif not archives:
            raise InputError(
                f"--images {root}: no photo ({', '.join(SUFFIXES[:4])} ...) here or one folder deeper, and no .tar"
            )

    def _read_archived(self, archive: str, offset: int, size: int) -> bytes:
        if size > MAX_PHOTO_BYTES:
            raise PhotoError("too_many_bytes", f"{size} bytes")
        fs, path = filesystem(archive, anonymous=self.anonymous)
        return read_bytes(fs, path, start=offset, end=offset + size) if size else b""

    def _read_file(self, image_id: str) -> bytes:
        _refuse_unsafe(image_id)
        whole = image_id.endswith(SUFFIXES)
        for folder in self.folders:
            for prefix in self._prefixes(folder.url, image_id):
                for suffix in ("", *SUFFIXES) if whole else SUFFIXES:
                    data = _read_if_there(folder, f"{prefix}{image_id}{suffix}")
                    if data is not None:
                        return data
        raise PhotoError("missing", "")

    def _prefixes(self, url: str, image_id: str) -> Iterator[str]:
        """Where in a folder to look: in itself, then, listed only if need be, its sub-folders, likeliest first.

        Open Images' train_7 holds the ids that begin with 7.
        """
        yield ""
        names = _subfolders_of(url, self.anonymous)
        yield from sorted(names, key=lambda name: not name.rstrip("/").endswith(f"_{image_id[:1]}"))


def read_picture(folder: Folder, name: str) -> bytes:
    """Read a picture's bytes by its exact name in a folder.

    Raises:
        PhotoError: it is absent, empty, too large or no file, or its name would leave the folder.
        OSError: storage failed for a passing cause, after all retries.
    """
    _refuse_unsafe(name)
    data = _read_if_there(folder, name)
    if data is None:
        raise PhotoError("missing", name)
    if not data:
        raise PhotoError("empty", "0 bytes")
    return data


def _refuse_unsafe(name: str) -> None:
    """Refuse an id or name that would leave its folder, or that no file should have.

    Raises:
        PhotoError: `unsafe_id`.
    """
    if not name.isprintable() or any(part in ("", ".", "..") for part in name.split("/")):
        raise PhotoError("unsafe_id", repr(name[:100]))


def _read_if_there(folder: Folder, name: str) -> bytes | None:
    try:
        if folder.local:
            return _read_local(Path(folder.path(name)))
        path = folder.path(quote(name) if folder.url.startswith(("http://", "https://")) else name)
        if len(path.encode()) > MAX_PATH_BYTES or "?versionId=" in name:  # which s3fs would cut off
            return None
        return _read_remote(folder.fs, path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        if error.errno == errno.ELOOP:
            raise PhotoError("not_a_file", f"{name}: a link that leads to itself") from error
        raise


def _read_local(path: Path) -> bytes:
    """Read a regular file; what is none might never end, and is not opened."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("not_a_file", f"{path.name}: {stat.filemode(status.st_mode)}")
    if not status.st_size:
        return b""  # files under /proc say so too, and some of them never end
    if status.st_size > MAX_PHOTO_BYTES:
        raise PhotoError("too_many_bytes", f"{status.st_size} bytes")
    with path.open("rb") as file:
        return _read_limited(file)


def _read_remote(fs: Any, path: str) -> bytes:
    """Read an object by one request, and no more of it than a photo may have."""
    if isinstance(fs, HTTPFileSystem):  # a web server may ignore a range, so that its answer is read piece by piece
        return with_retries(lambda: _read_stream(fs, path))
    return _read_limited(io.BytesIO(read_bytes(fs, path, end=MAX_PHOTO_BYTES + 1)))


def _read_stream(fs: Any, path: str) -> bytes:
    with fs.open(path, block_size=0, size=1) as file:
        return _read_limited(file)


def _read_limited(file: BinaryIO) -> bytes:
    pieces = []
    left = MAX_PHOTO_BYTES + 1
    while left > 0 and (piece := file.read(left)):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise PhotoError("too_many_bytes", f"more than {MAX_PHOTO_BYTES} bytes")
    return b"".join(pieces)


@functools.lru_cache(maxsize=16)
def _subfolders_of(url: str, anonymous: bool) -> tuple[str, ...]:
    folder = Folder(url, anonymous)
    try:
        entries = with_retries(lambda: folder.fs.ls(folder.path(""), detail=True))
    except (FileNotFoundError, PermissionError):  # many servers of files list nothing
        return ()
    return tuple(sorted(f"{e['name'].rstrip('/').rsplit('/', 1)[-1]}/" for e in entries if e["type"] == "directory"))


def index_archive(url: str, *, anonymous: bool) -> pa.Table:
    """List the photos in a tar file by their names without folder and suffix, as PLACES.

    Raises:
        InputError: it is no tar file.
    """
    fs, path = filesystem(url, anonymous=anonymous)
    options = {} if is_local(url) else {"block_size": ARCHIVE_BLOCK_BYTES}
    try:
        with fs.open(path, "rb", **options) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            rows = [(Path(m.name).stem, url, m.offset_data, m.size) for m in tar if _is_archived_photo(m)]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, PLACES, strict=True)]
    except (FileNotFoundError, tarfile.TarError, ValueError, OverflowError) as error:
        raise InputError(f"--images {url}: {error}; give tar files of photos") from error
    return pa.Table.from_arrays(arrays, schema=PLACES)


def _is_archived_photo(member: tarfile.TarInfo) -> bool:
    """Tell a photo from folders, links and other files; a name that is no UTF-8 is no table's id either."""
    is_text = member.name.encode(errors="replace").decode() == member.name
    return member.isfile() and not member.issparse() and is_text and Path(member.name).suffix in SUFFIXES


def decode_photo(
    data: bytes,
    *,
    rotation: float | None,
    boxes_frame: str,
    max_pixels: int,
    min_px: int,
    backdrop: str = "white",
) -> Photo:
    """Decode a photo and turn it upright.

    CMYK goes through its own colour profile, alpha lies on white, 16 bits become 8.

    Memory: at most BYTES_A_PIXEL x `max_pixels` for the one large photo that a process decodes at a time, and for each
    thread its upright photo, 3 bytes a px, and as much again while a crop of all of it is resized. A MemoryError is
    raised as it is: it may pass, and must not drop a photo.

    Args:
        rotation: the Rotation column, in degrees counter-clockwise by which photo and boxes turn; None where it is
            silent: then EXIF turns the photo, and its boxes unless `boxes_frame` is `exif`.
        max_pixels: larger photos are refused before they are decoded.
        min_px: the shortest side allowed.
        backdrop: the colour that shows where the photo is transparent.

    Raises:
        PhotoError: with the reason.
    """
    with _open_image(data, max_pixels) as image:
        _check_opened(image, data, max_pixels=max_pixels, min_px=min_px)
        with _alone_if_large(image.width * image.height):
            turn, box_turn, orientation = _orientation(image, rotation, boxes_frame)
            # TIFF is the one format that Pillow turns upright by itself: turn it back.
            undo = _INVERSE_TURN[_exif_orientation(image)] if image.format == "TIFF" else 1
            stored = _TURN_PIXELS[undo](_decode(image, data, backdrop))
            image.close()  # frees its own copy before the next one is made
            return Photo(np.ascontiguousarray(_TURN_PIXELS[turn](stored)), orientation, box_turn)


def perceptual_hash(pixels: Pixels) -> str:
    """Hash what a photo looks like: the signs of 64 low DCT frequencies of its luminance about their median.

    Args:
        pixels: [h, w, 3] uint8.

    Returns:
        16 hex digits; similar photos differ in few bits.
    """
    small = cv2.cvtColor(cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    return np.packbits(low > np.median(low)).tobytes().hex()


def photo_sha256(data: bytes) -> str:
    """Hash a photo's stored bytes."""
    return hashlib.sha256(data).hexdigest()


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
    """Tell how large a TIFF's tiles are: its decoder holds a whole one, be it larger than the photo."""
    tags = getattr(image, "tag_v2", {})
    with _explained():
        return int(tags.get(_TILE_WIDTH, 1)) * int(tags.get(_TILE_LENGTH, 1))


def _alone_if_large(pixels: int) -> AbstractContextManager[Any]:
    """Let one photo of more than LARGE_PIXELS be decoded at a time."""
    return _LARGE_PHOTO if pixels > LARGE_PIXELS else nullcontext()


def _orientation(image: Image.Image, rotation: float | None, boxes_frame: str) -> tuple[int, int, str]:
    """Find the turns of pixels and boxes, and their name."""
    if rotation is not None:
        quarter = int(rotation) % 360
        if rotation % 90:
            raise PhotoError("bad_rotation", f"Rotation {rotation:g} is no multiple of 90 degrees")
        return _ROTATION_TO_EXIF[quarter], _ROTATION_TO_EXIF[quarter], f"rotation:{quarter}"
    turn = _exif_orientation(image)
    return turn, turn if boxes_frame == "stored" else 1, f"exif:{turn}" if turn != 1 else "none"


def _exif_orientation(image: Image.Image) -> int:
    if image.format == "JPEG" and "exif" not in image.info:
        return 1
    try:
        for block in (image.info.get("exif"), _exif_in_text(image)):
            check_tags((block or b"").removeprefix(b"Exif\0\0"))
        value = image.getexif().get(0x0112, 1)
    except MemoryError:
        raise
    except Exception:  # EXIF that cannot be parsed, in whatever way, says nothing
        return 1
    return value if isinstance(value, int) and value in _TURN_PIXELS else 1


def _exif_in_text(image: Image.Image) -> bytes:
    """Find the EXIF that ImageMagick writes into a PNG as text: hexadecimal, from the fourth line on."""
    text = image.info.get("Raw profile type exif", "")
    return bytes.fromhex("".join(text.split("\n")[3:]))


def _decode(image: Image.Image, data: bytes, backdrop: str) -> Pixels:
    """Decode to [h, w, 3] uint8 RGB as stored."""
    profile = image.info.get("icc_profile")
    plain = image.format == "JPEG" and image.mode in ("RGB", "L") and not is_table(profile)
    # OpenCV is the faster decoder, but keeps quiet when a JPEG ends early: only files with their end marker go there.
    if plain and data.endswith(b"\xff\xd9"):
        encoded = np.frombuffer(data, np.uint8)
        try:
            pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:  # it has limits of its own; Pillow gives the reason, or the pixels
            pixels = None
        if pixels is not None:
            return pixels  # type: ignore[return-value]
    with _explained():
        try:
            image.load()
        except OSError as error:
            if "truncated" not in str(error).lower():
                raise
            raise PhotoError("truncated", str(error)[:200]) from error
        return to_rgb(image, profile, backdrop=backdrop)
