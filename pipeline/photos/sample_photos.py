"""Sample photos: the colour photos inside scikit-image and scikit-learn -> a genuine Open Images folder.

The boxes are labelled by hand. The tables beside this module have the official columns, and are read like any others.
"""

import csv
import io
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from pipeline.storage.folder import Folder

FOLDER = "run/sample_photos"
BOXES_TABLE = "train-annotations-bbox.csv"
CLASSES_TABLE = "class-descriptions-boxable.csv"
INFO_TABLE = "train-images-boxable-with-rotation.csv"
JPEG_QUALITY = 95

# The installed package, and the path inside it, of the photo with each image id.
PHOTOS = {
    "00a5740a07000001": ("skimage", "data/astronaut.png"),
    "00c4e15ea0000002": ("skimage", "data/chelsea.png"),
    "00c0ffee00000003": ("skimage", "data/coffee.png"),
    "000c4e7000000004": ("skimage", "data/rocket.jpg"),
    "0070c41e00000005": ("skimage", "data/motorcycle_left.png"),
    "00c41a0000000006": ("sklearn", "datasets/images/china.jpg"),
    "00f10be400000007": ("sklearn", "datasets/images/flower.jpg"),
}


def write_openimages_folder(out: Folder) -> Folder:
    """Lay the sample photos out as Open Images does: photos in `train/`, three CSVs beside it.

    Returns:
        The folder, inside `out`.
    """
    sizes = {}
    for image_id in PHOTOS:
        photo = _as_jpeg(installed_photo(image_id))
        sizes[image_id] = len(photo)
        _write(out, f"{FOLDER}/train/{image_id}.jpg", photo)
    for name in (BOXES_TABLE, CLASSES_TABLE):
        _write(out, f"{FOLDER}/{name}", _table(name))
    _write(out, f"{FOLDER}/{INFO_TABLE}", _with_sizes(_table(INFO_TABLE), sizes))
    return Folder(out.path(FOLDER) if out.local else f"{out.url.rstrip('/')}/{FOLDER}")


def installed_photo(image_id: str) -> Path:
    """Find a sample photo where its package is installed.

    Raises:
        ModuleNotFoundError: it is not.
    """
    package, path = PHOTOS[image_id]
    return _package_folder(package) / path


def _package_folder(package: str) -> Path:
    """Find an installed package without importing it, which would take seconds.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package}: not installed; its photos are the sample photos")
    return Path(spec.origin).parent


def _as_jpeg(path: Path) -> bytes:
    """Read a photo: a JPEG's own bytes, a PNG encoded."""
    data = path.read_bytes()
    if path.suffix == ".jpg":
        return data
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return encoded.tobytes()


def _table(name: str) -> bytes:
    return files("pipeline.photos").joinpath("sample_photos", name).read_bytes()


def _with_sizes(table: bytes, sizes: dict[str, int]) -> bytes:
    """Fill in OriginalSize, which depends on the version of the JPEG encoder."""
    header, *rows = csv.reader(io.StringIO(table.decode(), newline=""))
    column = header.index("OriginalSize")
    filled = [[*row[:column], str(sizes[row[0]]), *row[column + 1 :]] for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *filled])
    return text.getvalue().encode()


def _write(out: Folder, name: str, content: bytes) -> None:
    """Write a file unless it is there already, so that a second run finds its tables unchanged."""
    if out.read_if_there(name) != content:
        out.write(name, content)
