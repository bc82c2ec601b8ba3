"""Sample photos: the colour photos inside scikit-image and scikit-learn -> a genuine Open Images folder.

The boxes are labelled by hand; the tables have the official columns, so that they are read as any others.
"""

import csv
import io
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.storage.folder import Folder

FOLDER = "run/sample_photos"
JPEG_QUALITY = 95


class _Box(NamedTuple):
    """A box in the columns' order; label is a display name."""

    label: str
    x_min: float
    x_max: float
    y_min: float
    y_max: float
    occluded: int = 0
    truncated: int = 0


@dataclass(frozen=True)
class SamplePhoto:
    """A photo inside an installed package.

    Args:
        image_id: 16 hex digits, as Open Images has them.
        package, resource: where its bytes are.
    """

    image_id: str
    title: str
    package: str
    resource: str
    author: str
    license: str
    landing_url: str
    boxes: tuple[_Box, ...]


LABELS = {
    "Person": "/m/01g317",
    "Human face": "/m/0dzct",
    "Flag": "/m/03120",
    "Rocket": "/m/09rvcxw",
    "Helmet": "/m/0zvk5",
    "Cat": "/m/01yrx",
    "Human eye": "/m/014sv8",
    "Coffee cup": "/m/02p5f1q",
    "Spoon": "/m/0cmx8",
    "Saucer": "/m/03q5c7",
    "Tower": "/m/01fdzj",
    "Motorcycle": "/m/04_sv",
    "Wheel": "/m/083wq",
    "Box": "/m/025dyy",
    "Building": "/m/0cgh4",
    "Tree": "/m/07j7r",
    "Flower": "/m/0c9ph5",
}

_CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
_BY = "https://creativecommons.org/licenses/by/2.0/"
_PUBLIC = "https://creativecommons.org/publicdomain/mark/1.0/"

SAMPLE_PHOTOS = (
    SamplePhoto(
        "00a5740a07000001",
        "Astronaut Eileen Collins",
        "skimage.data",
        "astronaut.png",
        "NASA",
        _PUBLIC,
        "https://flic.kr/p/r9qvLn",
        (
            _Box("Person", 0.04, 0.72, 0.03, 1.0, 0, 1),
            _Box("Human face", 0.345, 0.535, 0.10, 0.37),
            _Box("Rocket", 0.69, 0.905, 0.0, 0.56, 1, 1),
            _Box("Helmet", 0.545, 1.0, 0.67, 1.0, 0, 1),
            _Box("Flag", 0.0, 0.20, 0.0, 1.0, 1, 1),
        ),
    ),
    SamplePhoto(
        "00c4e15ea0000002",
        "Chelsea the cat",
        "skimage.data",
        "chelsea.png",
        "Stefan van der Walt",
        _CC0,
        "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.chelsea",
        (
            _Box("Cat", 0.0, 0.90, 0.0, 1.0, 0, 1),
            _Box("Human eye", 0.30, 0.465, 0.285, 0.50),
            _Box("Human eye", 0.655, 0.765, 0.365, 0.545),
        ),
    ),
    SamplePhoto(
        "00c0ffee00000003",
        "Espresso at Pikolo Espresso Bar",
        "skimage.data",
        "coffee.png",
        "Rachel Michetti",
        _CC0,
        "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.coffee",
        (
            _Box("Coffee cup", 0.29, 0.685, 0.04, 0.76),
            _Box("Saucer", 0.125, 0.80, 0.17, 0.985, 1, 0),
            _Box("Spoon", 0.545, 0.71, 0.165, 0.81, 1, 0),
        ),
    ),
    SamplePhoto(
        "000c4e7000000004",
        "Falcon 9 with DSCOVR before launch",
        "skimage.data",
        "rocket.jpg",
        "SpaceX",
        _CC0,
        "https://www.flickr.com/photos/spacexphotos/16511594820/",
        (
            _Box("Rocket", 0.48, 0.53, 0.30, 0.96),
            _Box("Tower", 0.0, 0.135, 0.0, 0.97, 0, 1),
            _Box("Tower", 0.865, 1.0, 0.0, 0.97, 0, 1),
            _Box("Tower", 0.685, 0.725, 0.29, 0.92),
        ),
    ),
    SamplePhoto(
        "0070c41e00000005",
        "Motorcycle, Middlebury Stereo 2014",
        "skimage.data",
        "motorcycle_left.png",
        "D. Scharstein et al.",
        "https://vision.middlebury.edu/stereo/data/scenes2014/",
        "https://vision.middlebury.edu/stereo/data/scenes2014/",
        (
            _Box("Motorcycle", 0.125, 0.925, 0.15, 0.905),
            _Box("Wheel", 0.16, 0.38, 0.475, 0.81, 1, 0),
            _Box("Wheel", 0.70, 0.925, 0.55, 0.905, 1, 0),
            _Box("Box", 0.71, 0.795, 0.06, 0.205),
        ),
    ),
    SamplePhoto(
        "00c41a0000000006",
        "Tower at the Summer Palace, Beijing",
        "sklearn.datasets.images",
        "china.jpg",
        "danielbuechele",
        _BY,
        "https://www.flickr.com/photos/danielbuechele/6061409035/",
        (
            _Box("Building", 0.10, 0.58, 0.065, 0.985, 1, 0),
            _Box("Tree", 0.855, 1.0, 0.315, 0.85, 0, 1),
            _Box("Tree", 0.515, 0.865, 0.64, 1.0, 0, 1),
        ),
    ),
    SamplePhoto(
        "00f10be400000007",
        "Dahlia",
        "sklearn.datasets.images",
        "flower.jpg",
        "vultilion",
        _BY,
        "https://www.flickr.com/photos/vultilion/6056698931/",
        (
            _Box("Flower", 0.26, 0.70, 0.20, 0.845),
            _Box("Flower", 0.45, 0.735, 0.88, 1.0, 0, 1),
            _Box("Flower", 0.90, 0.965, 0.915, 1.0, 0, 1),
        ),
    ),
)

BOX_HEADER = [
    "ImageID",
    "Source",
    "LabelName",
    "Confidence",
    "XMin",
    "XMax",
    "YMin",
    "YMax",
    "IsOccluded",
    "IsTruncated",
    "IsGroupOf",
    "IsDepiction",
    "IsInside",
]
INFO_HEADER = [
    "ImageID",
    "Subset",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
    "OriginalSize",
    "OriginalMD5",
    "Thumbnail300KURL",
    "Rotation",
]


def write_openimages_folder(out: Folder) -> Folder:
    """Lay the sample photos out as Open Images does: photos in `train/`, three CSVs beside it.

    Returns:
        The folder, inside `out`.
    """
    info, boxes = [INFO_HEADER], [BOX_HEADER]
    for photo in SAMPLE_PHOTOS:
        data = _jpeg(files(photo.package).joinpath(photo.resource).read_bytes(), photo.resource)
        _write(out, f"{FOLDER}/train/{photo.image_id}.jpg", data)
        url, size = photo.landing_url, str(len(data))
        info.append(
            [photo.image_id, "train", url, url, photo.license, "", photo.author, photo.title, size, "", "", "0.0"]
        )
        for box in photo.boxes:
            sides = [f"{side:.6f}" for side in box[1:5]]
            flags = [str(box.occluded), str(box.truncated), "0", "0", "0"]
            boxes.append([photo.image_id, "xclick", LABELS[box.label], "1", *sides, *flags])
    classes = [["LabelName", "DisplayName"], *([label, name] for name, label in LABELS.items())]
    _write(out, f"{FOLDER}/train-annotations-bbox.csv", _csv(boxes))
    _write(out, f"{FOLDER}/train-images-boxable-with-rotation.csv", _csv(info))
    _write(out, f"{FOLDER}/class-descriptions-boxable.csv", _csv(classes))
    return Folder(out.path(FOLDER) if out.local else f"{out.url.rstrip('/')}/{FOLDER}")


def _jpeg(data: bytes, resource: str) -> bytes:
    """Keep a JPEG's own bytes; encode a PNG."""
    if Path(resource).suffix == ".jpg":
        return data
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return encoded.tobytes()


def _write(out: Folder, name: str, content: bytes) -> None:
    """Write a file unless it is there already, so that a second run finds its tables unchanged."""
    if out.read_if_there(name) != content:
        out.write(name, content)


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
