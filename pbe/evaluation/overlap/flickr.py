"""Flickr: tables that say where photos came from -> the Flickr id of each photo.

Open Images and COCO were both taken from Flickr, which gives each photo a number for good: it stands in the address of
its page (/photos/OWNER/NUMBER) and of its files (/SERVER/NUMBER_SECRET_o.jpg).
"""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.boxes.csv_blocks import read_header
from pipeline.boxes.hashed_files import TableDigest, open_table
from pipeline.boxes.tables import stream_columns
from pipeline.errors import InputError
from schemas.boxes import ID_COLUMN

ADDRESSES = ("OriginalLandingURL", "OriginalURL")  # columns of Open Images' image-info tables
_NUMBER = r"flickr\.com/(?:photos/[^/]+/|(?:\d+/)*)(?P<number>\d{3,18})(?:[_/?#]|$)"
_SUFFIX = re.compile(r"\.\w+\Z")


def flickr_ids(url: str, names: Collection[str], *, anonymous: bool = False) -> dict[str, int]:
    """Read the Flickr ids of photos.

    Args:
        url: an image-info table of Open Images (ImageID, OriginalLandingURL or OriginalURL), or a COCO file
            (instances_val2017.json, image_info_test2017.json), whose photos may be named by file, by image id or, as
            COCOEE's are, by the id of an annotation.
        names: of the photos that are asked for.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    if url.lower().endswith(".json"):
        return _of_coco(url, names, anonymous=anonymous)
    with open_table(url, anonymous=anonymous, compression="infer") as file:
        header = read_header(file.readline())
    columns = [name for name in ADDRESSES if name in header]
    if ID_COLUMN not in header or not columns:
        raise InputError(f"{url}: lacks {ID_COLUMN}, or both of {' and '.join(ADDRESSES)}; give an image-info table")
    wanted = pa.array(sorted(names), pa.string())
    types = dict.fromkeys([ID_COLUMN, *columns], pa.string())
    found: dict[str, int] = {}
    for table in stream_columns(url, types, TableDigest(), anonymous=anonymous):
        rows = table.filter(pc.is_in(table[ID_COLUMN], value_set=wanted))
        for column in reversed(columns):  # the page's address, where there are both
            found |= _numbers(rows[ID_COLUMN].to_pylist(), rows[column].to_pylist())
    return found


def join(training: dict[str, int], other: dict[str, int]) -> list[tuple[str, str, int]]:
    """List the photos of two sides that have the same Flickr id: name, other name, id."""
    by_id: dict[int, list[str]] = {}
    for name, number in sorted(training.items()):
        by_id.setdefault(number, []).append(name)
    return [(name, there, number) for there, number in sorted(other.items()) for name in by_id.get(number, ())]


def _numbers(names: Iterable[str], addresses: Iterable[str | None]) -> dict[str, int]:
    found = ((name, re.search(_NUMBER, address or "")) for name, address in zip(names, addresses, strict=True))
    return {name: int(number["number"]) for name, number in found if number}


def _of_coco(url: str, names: Collection[str], *, anonymous: bool) -> dict[str, int]:
    with open_table(url, anonymous=anonymous) as file:
        try:
            content = json.load(file)
            images = {int(image["id"]): image for image in content["images"]}
            annotations = {int(each["id"]): int(each["image_id"]) for each in content.get("annotations") or ()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{url}: is not a COCO file with `images` ({error}); give instances_val2017.json"
            ) from error
    by_file = {_SUFFIX.sub("", str(image.get("file_name", ""))): number for number, image in images.items()}
    numbers = {name: int(name) for name in names if name.isascii() and name.isdigit()}
    # One of these is meant for all photos: an annotation may have the number of another photo.
    readings: list[dict[str, Any]] = [
        {name: by_file[name] for name in names if name in by_file},
        {name: number for name, number in numbers.items() if number in images},
        {name: annotations[number] for name, number in numbers.items() if number in annotations},
    ]
    chosen = max(readings, key=len)
    pictured = {name: images[image] for name, image in chosen.items() if image in images}
    return _numbers(pictured, (str(image.get("flickr_url", "")) for image in pictured.values()))
