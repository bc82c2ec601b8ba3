"""Photos: folders of free photos and generated scenes -> an Open Images folder to shard, and whose pictures these are.

    python -m examples.small_model.photos --openimages DIR --out DIR [--flags]

A few hundred photos are little. Each is cut into many squares at several scales, from the whole photo to fine texture,
and each square gets random boxes beside the annotated ones: a texture needs no annotation. The same inputs give the
same bytes.
"""

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from examples.small_model.scenes import draw_scene
from pipeline.arrays import Pixels, Sides
from pipeline.command import guard
from pipeline.decoding.decode import decode_photo
from pipeline.decoding.resize import cut
from pipeline.errors import InputError
from pipeline.rng import rng_for

FREE_COCO = {"4": "CC BY 2.0", "7": "no known copyright restrictions"}
FREE_WALLPAPERS = ("CC-BY-4.0", "CC0-1.0")
BOX_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
OPEN_IMAGES, COCO, WALLPAPERS = "Open Images V6, train", "COCO 2017, train", "lomiri-wallpapers"
TEXTURE = "texture"  # the label of a random box
SMALLEST_SHARE, LARGEST_SHARE = 0.03, 0.5  # of a square, that a box takes
LEAST_SEEN = 0.7  # of an annotated box, inside a square
QUALITY = 95
MOST_PIXELS = 100_000_000


@dataclass(frozen=True)
class PhotosConfig:
    """Gather what the small model is trained on: free photos, cut into squares, and generated scenes."""

    out: str
    """The folder to write: train/*.jpg, a box table, sources.csv (where each square is from), photos.csv (whose photos
    they are)."""
    openimages: str = ""
    """A folder of Open Images photos (CC BY 2.0): train/ and a box table of Open Images."""
    coco: str = ""
    """A folder of COCO photos in the same form, with sources.csv, whose CocoLicenseId tells the free ones (4, 7)."""
    wallpapers: str = ""
    """Debian's lomiri-wallpapers packages, unpacked: their photos under CC BY 4.0 and CC0."""
    crops: int = 40
    """Squares of each photo."""
    scenes: int = 3000
    """Generated scenes."""
    side: int = 192
    """px along a square's side."""
    boxes: int = 4
    """Random boxes in each square."""
    seed: int = 0
    """Decides squares, random boxes and scenes."""


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


def main(arguments: list[str]) -> int:
    """Gather as the command line says; return the exit code."""
    return guard(
        lambda: gather(tyro.cli(PhotosConfig, args=arguments, prog="python -m examples.small_model.photos")),
        go_on="run the same command again",
    )


def gather(config: PhotosConfig) -> int:
    """Write the folder; return the exit code.

    Raises:
        InputError: no photo is given, or a folder has another form.
    """
    photos = list(find_photos(config))
    if not photos:
        raise InputError("--openimages, --coco, --wallpapers: give at least one folder of photos")
    out = Path(config.out)
    (out / "train").mkdir(parents=True, exist_ok=True)
    write_owners(out / "photos.csv", photos)
    tables = {"train-annotations-bbox.csv": (*BOX_COLUMNS, *FLAGS), "sources.csv": ("ImageID", "photo", "licence")}
    with (out / "train-annotations-bbox.csv").open("w", newline="") as boxes, (out / "sources.csv").open("w") as origin:
        table, sources = csv.writer(boxes), csv.writer(origin)
        for writer, columns in zip((table, sources), tables.values(), strict=True):
            writer.writerow(columns)
        for photo in tqdm(photos, desc="photos", unit="photo"):
            for number, (square, found) in enumerate(cut_squares(photo, config)):
                key = f"{photo.key}-{number:03d}"
                write_picture(out / "train" / f"{key}.jpg", square)
                sources.writerow([key, photo.path.name, photo.licence])
                table.writerows(box_row(key, box, label) for box, label in found)
        for number in tqdm(range(config.scenes), desc="scenes", unit="scene"):
            key = f"scene-{number:05d}"
            scene, box, shape = draw_scene(rng_for(config.seed, "scene", number), config.side)
            write_picture(out / "train" / f"{key}.jpg", scene)
            sources.writerow([key, "generated", "CC0-1.0"])
            table.writerow(box_row(key, box, shape))
    print(f"{len(photos)} photos, {len(photos) * config.crops:,} squares, {config.scenes:,} scenes: {out}")
    return 0


def find_photos(config: PhotosConfig) -> Iterator[Photo]:
    """List the photos that may be used, by name.

    Raises:
        InputError: a folder has another form.
    """
    annotated = (("--openimages", config.openimages, OPEN_IMAGES), ("--coco", config.coco, COCO))
    for flag, place, origin in annotated:
        if place:
            yield from _annotated(flag, Path(place), origin)
    if config.wallpapers:
        licences = read_licences(Path(config.wallpapers))
        for path in sorted(Path(config.wallpapers).rglob("*.jpg")):
            licence, holder = licences.get(path.name, ("", ""))
            if licence in FREE_WALLPAPERS and not path.is_symlink():
                yield Photo(f"wallpaper-{path.stem[:40].replace('_', '-')}", path, WALLPAPERS, licence, holder)


def _annotated(flag: str, folder: Path, origin: str) -> Iterator[Photo]:
    tables = sorted(folder.glob("*train-annotations-bbox.csv"))
    if len(tables) != 1:
        raise InputError(
            f"{flag} {folder}: holds no table *train-annotations-bbox.csv, or several; give another folder"
        )
    boxes: dict[str, list[tuple[Sides, str]]] = {}
    with tables[0].open(newline="") as file:
        for row in csv.DictReader(file):
            box = (float(row["XMin"]), float(row["YMin"]), float(row["XMax"]), float(row["YMax"]))
            boxes.setdefault(row["ImageID"], []).append((box, row["LabelName"]))
    licences = {path.stem: "CC BY 2.0" for path in (folder / "train").glob("*.jpg")}
    if origin == COCO:
        with (folder / "sources.csv").open(newline="") as file:
            licences = {row["ImageID"]: FREE_COCO.get(row["CocoLicenseId"], "") for row in csv.DictReader(file)}
    for key in sorted(key for key, licence in licences.items() if licence):
        yield Photo(key, folder / "train" / f"{key}.jpg", origin, licences[key], boxes=tuple(boxes.get(key, ())))


def read_licences(folder: Path) -> dict[str, tuple[str, str]]:
    """Read the copyright files of unpacked Debian packages: file name -> licence, holder of the copyright."""
    licences, name, holder = {}, "", ""
    for path in sorted(folder.rglob("usr/share/doc/*/copyright")):
        for line in path.read_text().splitlines():
            field, _, value = line.partition(": ")
            if field == "Files":
                name = value.rpartition("/")[2]
            elif field == "Copyright":
                holder = value
            elif field == "License" and name:
                licences[name], name = (value, holder), ""
    return licences


def write_owners(path: Path, photos: list[Photo]) -> None:
    """Write whose photos they are, a row each."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("photo", "origin", "licence", "copyright"))
        table.writerows((photo.path.name, photo.origin, photo.licence, photo.holder) for photo in photos)


def cut_squares(photo: Photo, config: PhotosConfig) -> Iterator[tuple[Pixels, list[tuple[Sides, str]]]]:
    """Cut a photo: [side, side, 3] uint8 and boxes in 0..1 of the square; the first squares are the largest."""
    limits = {"max_pixels": MOST_PIXELS, "min_px": 1}
    decoded = decode_photo(photo.path.read_bytes(), rotation=None, boxes_frame="stored", **limits)
    boxes = [(decoded.turn_box(box), label) for box, label in photo.boxes]
    pixels = decoded.pixels
    height, width = pixels.shape[:2]
    for number in range(config.crops):
        rng = rng_for(config.seed, "square", photo.key, number)
        largest = min(width, height)
        least = min(config.side, largest)  # so that nothing is enlarged, unless the photo is smaller itself
        side = round(largest * (least / largest) ** (rng.random() * (number > 1)))
        left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        square = cut(pixels, (left, top, left + side, top + side), config.side)
        place = (left / width, top / height, (left + side) / width, (top + side) / height)
        annotated = [(seen, label) for box, label in boxes if (seen := seen_in(box, place)) is not None]
        yield square, annotated + [(random_box(rng), TEXTURE) for _ in range(config.boxes)]


def seen_in(box: Sides, place: Sides) -> Sides | None:
    """Bring a box into a part of its photo; None: too little of it is there, or it is too small or large there."""
    width, height = place[2] - place[0], place[3] - place[1]
    cut_box = (
        max((box[0] - place[0]) / width, 0.0),
        max((box[1] - place[1]) / height, 0.0),
        min((box[2] - place[0]) / width, 1.0),
        min((box[3] - place[1]) / height, 1.0),
    )
    if cut_box[0] >= cut_box[2] or cut_box[1] >= cut_box[3]:
        return None
    share = (cut_box[2] - cut_box[0]) * (cut_box[3] - cut_box[1])
    whole = (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
    return cut_box if share >= LEAST_SEEN * whole and SMALLEST_SHARE <= share <= LARGEST_SHARE else None


def random_box(rng: np.random.Generator) -> Sides:
    """Draw a box: its share of the square and its aspect uniform in their logarithms."""
    share = SMALLEST_SHARE * (LARGEST_SHARE / SMALLEST_SHARE) ** rng.random()
    aspect = 2 ** rng.uniform(-1, 1)
    width, height = min((share * aspect) ** 0.5, 0.95), min((share / aspect) ** 0.5, 0.95)
    left, top = rng.random() * (1 - width), rng.random() * (1 - height)
    return left, top, left + width, top + height


def box_row(key: str, box: Sides, label: str) -> list[str]:
    """Write a row of a box table; what is not known of a box is -1 there."""
    left, top, right, bottom = (f"{min(max(value, 0), 1):.6f}" for value in box)
    return [key, "made", label, "1", left, right, top, bottom, *(["-1"] * len(FLAGS))]


def write_picture(path: Path, pixels: Pixels) -> None:
    """Write a JPEG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=QUALITY, subsampling=0)
    path.write_bytes(content.getvalue())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
