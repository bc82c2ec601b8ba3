"""Photos: an image id -> bytes -> upright RGB pixels, or the reason why not.

Photos lie in folders (`{ImageID}.jpg`, or one folder deeper) or in tar files. Pixels are uint8 RGB, [h, w, 3].
"""

import errno
import functools
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from pipeline.errors import InputError, PhotoError
from pipeline.plan import PLACES
from pipeline.storage import Folder, expand, filesystem, is_local, with_retries

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # x_min y_min x_max y_max, shares of the photo

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".mpo")
MAX_PHOTO_BYTES = 256 << 20
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
        return bytes(with_retries(lambda: fs.cat_file(path, start=offset, end=offset + size)) if size else b"")

    def _read_file(self, image_id: str) -> bytes:
        if not image_id.isprintable() or any(part in ("", ".", "..") for part in image_id.split("/")):
            raise PhotoError("unsafe_id", repr(image_id[:100]))
        whole = image_id.endswith(SUFFIXES)
        for folder in self.folders:
            for prefix in self._prefixes(folder.url, image_id):
                for suffix in ("", *SUFFIXES) if whole else SUFFIXES:
                    data = self._read_if_there(folder, f"{prefix}{image_id}{suffix}")
                    if data is not None:
                        return data
        raise PhotoError("missing", "")

    def _read_if_there(self, folder: Folder, name: str) -> bytes | None:
        if not folder.local:
            try:
                return folder.read(name)
            except (FileNotFoundError, IsADirectoryError):
                return None
        path = Path(folder.path(name))
        try:
            size = path.stat().st_size
            if size > MAX_PHOTO_BYTES:
                raise PhotoError("too_many_bytes", f"{size} bytes")
            return path.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise

    def _prefixes(self, url: str, image_id: str) -> Iterator[str]:
        """Where in a folder to look: in itself, then, listed only if need be, its sub-folders, likeliest first.

        Open Images' train_7 holds the ids that begin with 7.
        """
        yield ""
        names = _subfolders_of(url, self.anonymous)
        yield from sorted(names, key=lambda name: not name.rstrip("/").endswith(f"_{image_id[:1]}"))


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
    rows = []
    try:
        with fs.open(path, "rb", **options) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                name = Path(member.name)
                if member.isfile() and name.suffix in SUFFIXES:
                    rows.append((name.stem, url, member.offset_data, member.size))
    except (FileNotFoundError, tarfile.TarError) as error:
        raise InputError(f"--images {url}: {error}; give tar files of photos") from error
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, PLACES, strict=True)], schema=PLACES
    )


def decode_photo(data: bytes, *, rotation: float | None, boxes_frame: str, max_pixels: int, min_px: int) -> Photo:
    """Decode a photo and turn it upright.

    CMYK goes through its own colour profile, alpha lies on white, 16 bits become 8.

    Args:
        rotation: the Rotation column, in degrees counter-clockwise by which photo and boxes turn; None where it is
            silent: then EXIF turns the photo, and its boxes unless `boxes_frame` is `exif`.
        max_pixels: larger photos are refused before they are decoded.
        min_px: the shortest side allowed.

    Raises:
        PhotoError: with the reason.
    """
    image = _open_image(data)
    with image:
        width, height = image.size
        if width * height > max_pixels:
            raise PhotoError("bomb", f"{width} x {height} px")
        if min(width, height) < min_px:
            raise PhotoError("too_small", f"{width} x {height} px")
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise PhotoError("animated", f"{image.format} of {getattr(image, 'n_frames', 0)} frames")
        turn, box_turn, orientation = _orientation(image, rotation, boxes_frame)
        # TIFF is the one format that Pillow turns upright by itself: turn it back.
        undo = _INVERSE_TURN[_exif_orientation(image)] if image.format == "TIFF" else 1
        pixels = _TURN_PIXELS[undo](_decode(image, data))
    upright = np.ascontiguousarray(_TURN_PIXELS[turn](pixels))
    return Photo(upright, orientation, box_turn)


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


def _open_image(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise PhotoError("not_an_image", f"{len(data)} bytes beginning {data[:12]!r}") from error
    except Exception as error:  # a decoder may raise anything on hostile bytes
        raise PhotoError("corrupt", f"{type(error).__name__}: {error}"[:200]) from error


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
        value = image.getexif().get(0x0112, 1)
    except Exception:  # EXIF that cannot be parsed says nothing
        return 1
    return value if isinstance(value, int) and value in _TURN_PIXELS else 1


def _decode(image: Image.Image, data: bytes) -> Pixels:
    """Decode to [h, w, 3] uint8 RGB as stored."""
    profile = image.info.get("icc_profile")
    plain = image.format == "JPEG" and image.mode in ("RGB", "L") and not _is_table(profile)
    # OpenCV is the faster decoder, but keeps quiet when a JPEG ends early: only files with their end marker go there.
    if plain and data.endswith(b"\xff\xd9"):
        encoded = np.frombuffer(data, np.uint8)
        pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is not None:
            return pixels  # type: ignore[return-value]
    try:
        image.load()
        return np.array(_to_rgb(image, profile))  # a copy, which torch wants writable
    except OSError as error:
        reason = "truncated" if "truncated" in str(error).lower() else "corrupt"
        raise PhotoError(reason, str(error)[:200]) from error
    except Exception as error:  # a decoder may raise anything on hostile bytes
        raise PhotoError("corrupt", f"{type(error).__name__}: {error}"[:200]) from error


def _is_table(profile: bytes | None) -> bool:
    """Tell whether a colour profile is a look-up table, without which its pixels make no sense (XYB, say).

    Matrix profiles (Adobe RGB, Display P3) are read as sRGB, as the paper and CLIP's own preprocessing do.
    """
    return profile is not None and b"A2B0" in profile[128:4096]


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> Any:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:
        return None  # a profile that does not fit its pixels is ignored, as viewers do


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    if image.mode in ("P", "PA", "LA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(image, lab, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return converted if converted is not None else image.convert("RGB")
    if profile is not None and (image.mode == "CMYK" or (image.mode == "RGB" and _is_table(profile))):
        transform = _transform(profile, image.mode)
        if transform is not None:
            return ImageCms.applyTransform(image, transform) or image
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float grey to 8 bits: integers by their high byte, floats in [0, 1] by their share."""
    values = np.asarray(image).astype(np.float64)
    top = 65535.0 if image.mode.startswith("I") and values.max(initial=0) > 255 else 255.0
    if image.mode == "F" and values.max(initial=0) <= 1:
        top = 1.0
    return Image.fromarray(np.clip(np.rint(np.nan_to_num(values) / top * 255), 0, 255).astype(np.uint8))
