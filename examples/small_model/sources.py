"""Sources: folders of photos -> the free ones among them, with licences, holders and boxes.

What is not told to be free, or is told twice and differently, is not free.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from pipeline.arrays import Sides
from pipeline.errors import InputError

FREE_COCO = {"4": "CC BY 2.0", "7": "no known copyright restrictions"}
FREE_WALLPAPERS = ("CC-BY-4.0", "CC0-1.0")
OPEN_IMAGES, COCO, WALLPAPERS = "Open Images V6, train", "COCO 2017, train", "lomiri-wallpapers"
COCO_LICENCES = "sources.csv"
_SIDES = ("XMin", "YMin", "XMax", "YMax")


@dataclass(frozen=True)
class Photo:
    """A free photo.

    Args:
        origin: the collection that it is from.
        holder: of the copyright, where the collection says so.
        boxes: annotated ones in 0..1 of the photo, with their labels.
    """

    key: str
    path: Path
    origin: str
    licence: str
    holder: str = ""
    boxes: tuple[tuple[Sides, str], ...] = ()


def open_images_photos(flag: str, folder: Path) -> Iterator[Photo]:
    """List the photos of an Open Images folder, which are all free, by name.

    Raises:
        InputError: it has another form, or is one of COCO.
    """
    if (folder / COCO_LICENCES).exists():
        raise InputError(f"{flag} {folder}: its {COCO_LICENCES} tells licences, as of COCO; give it with --coco")
    keys = sorted(path.stem for path in (folder / "train").glob("*.jpg"))
    yield from _annotated(flag, folder, OPEN_IMAGES, dict.fromkeys(keys, "CC BY 2.0"))


def coco_photos(flag: str, folder: Path) -> Iterator[Photo]:
    """List the free photos of a COCO folder, by name.

    Raises:
        InputError: see `read_coco_licences`.
    """
    licences = read_coco_licences(flag, folder)
    yield from _annotated(flag, folder, COCO, {key: FREE_COCO[licence] for key, licence in licences.items() if licence})


def wallpapers(flag: str, folder: Path) -> Iterator[Photo]:
    """List the free photos of unpacked Debian packages, by path.

    Raises:
        InputError: there is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{flag} {folder}: is no folder; give that of the unpacked packages")
    licences = read_licences(folder)
    for path in sorted(folder.rglob("*.jpg")):
        licence, holder = licences.get(path.name, ("", ""))
        if licence in FREE_WALLPAPERS and not path.is_symlink():
            yield Photo(f"wallpaper-{path.stem[:40].replace('_', '-')}", path, WALLPAPERS, licence, holder)


def read_coco_licences(flag: str, folder: Path) -> dict[str, str]:
    """Read the licence of each photo of a COCO folder, a key of FREE_COCO; empty: it is not free.

    Raises:
        InputError: see `read_rows`.
    """
    licences: dict[str, str] = {}
    for row in read_rows(flag, folder / COCO_LICENCES, ("ImageID", "CocoLicenseId")):
        key, licence = row["ImageID"], row["CocoLicenseId"]
        told = licence if licence in FREE_COCO else ""
        licences[key] = told if licences.get(key, told) == told else ""
    return licences


def read_licences(folder: Path) -> dict[str, tuple[str, str]]:
    """Read the copyright files of unpacked Debian packages: file name -> licence, holder of the copyright.

    They name files of the source package, which lie elsewhere in the unpacked one: names alone can be compared. Of
    files of one name that differ in licence or holder, nothing is known.
    """
    licences: dict[str, tuple[str, str]] = {}
    name, holder = "", ""
    for path in sorted(folder.rglob("usr/share/doc/*/copyright")):
        for line in ["", *path.read_text(encoding="utf-8", errors="replace").splitlines()]:
            field, _, value = line.partition(": ")
            if not line.strip():
                name, holder = "", ""  # a paragraph ends
            elif field == "Files":
                name = value.rpartition("/")[2]
            elif field == "Copyright":
                holder = value
            elif field == "License" and name:
                told = (value, holder)
                licences[name] = told if licences.get(name, told) == told else ("", "")
    return licences


def read_rows(flag: str, path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a table of photos.

    Args:
        columns: that it must have, ImageID among them.

    Raises:
        InputError: it is missing or cannot be read, lacks a column, or a row has another length or an ImageID that no
            file may have as its name.
    """
    if not path.is_file():
        raise InputError(f"{flag} {path.parent}: holds no {path.name}; give another folder")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            if missing := [name for name in columns if name not in (table.fieldnames or ())]:
                raise InputError(f"{flag} {path}: has no column {', '.join(missing)}; give another folder")
            rows = []
            for row in table:
                key = row["ImageID"]
                odd = None in row or any(row[name] is None for name in columns)  # more or fewer fields than columns
                if odd or not key or "/" in key or not key.isprintable():
                    raise InputError(
                        f"{flag} {path}, line {table.line_num}: of another length, or {key!r} names no photo; mend it"
                    )
                rows.append(row)
            return rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{flag} {path}: is no table ({error}); give another folder") from error


def _annotated(flag: str, folder: Path, origin: str, licences: dict[str, str]) -> Iterator[Photo]:
    tables = sorted(folder.glob("*train-annotations-bbox.csv"))
    if len(tables) != 1:
        raise InputError(
            f"{flag} {folder}: holds no table *train-annotations-bbox.csv, or several; give another folder"
        )
    boxes: dict[str, list[tuple[Sides, str]]] = {}
    for row in read_rows(flag, tables[0], ("ImageID", "LabelName", *_SIDES)):
        boxes.setdefault(row["ImageID"], []).append((_sides_of(f"{flag} {tables[0]}", row), row["LabelName"]))
    for key in sorted(licences):
        yield Photo(key, folder / "train" / f"{key}.jpg", origin, licences[key], boxes=tuple(boxes.get(key, ())))


def _sides_of(place: str, row: dict[str, str]) -> Sides:
    try:
        left, top, right, bottom = (float(row[name]) for name in _SIDES)
    except ValueError as error:
        raise InputError(f"{place}: a box of {row['ImageID']} is no box ({error}); mend it") from error
    if not all(map(isfinite, (left, top, right, bottom))):
        raise InputError(f"{place}: a box of {row['ImageID']} is not finite; mend it")
    return left, top, right, bottom
