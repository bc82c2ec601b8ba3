"""Photos: folders of free photos and generated scenes -> an Open Images folder to shard, and whose pictures these are.

    python -m examples.small_model.photos --openimages DIR --out DIR [--flags]

A few hundred photos are little. Each is cut into many squares at several scales, from the whole photo to fine texture,
and each square gets random boxes beside the annotated ones: a texture needs no annotation. The same inputs give the
same bytes.
"""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from examples.small_model.scenes import draw_scene
from examples.small_model.sources import Photo, coco_photos, open_images_photos, wallpapers
from pipeline.arrays import Pixels, Sides
from pipeline.command import guard
from pipeline.decoding.decode import decode_photo
from pipeline.decoding.resize import cut
from pipeline.errors import InputError, PhotoError
from pipeline.photos.bounded_reads import read_picture
from pipeline.rng import rng_for
from pipeline.storage.folder import Folder
from pipeline.storage.whole_files import folder_aside
from pipeline.storage.writable import local_output

BOX_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
BOXES, SOURCES, OWNERS = "train-annotations-bbox.csv", "sources.csv", "photos.csv"
TEXTURE = "texture"  # the label of a random box
SMALLEST_SHARE, LARGEST_SHARE = 0.03, 0.5  # of a square, that a box takes
LEAST_SEEN = 0.7  # of an annotated box, inside a square
LEAST_SIDE = 32  # px: a scene's object shows its texture
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

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        for flag, value, least in (
            ("--crops", self.crops, 1),
            ("--scenes", self.scenes, 0),
            ("--side", self.side, LEAST_SIDE),
            ("--boxes", self.boxes, 0),
        ):
            if value < least:
                raise InputError(f"{flag} {value}: give a whole number from {least}")


def main(arguments: list[str]) -> int:
    """Gather as the command line says; return the exit code."""
    return guard(
        lambda: gather(tyro.cli(PhotosConfig, args=arguments, prog="python -m examples.small_model.photos")),
        go_on="run the same command again",
    )


def gather(config: PhotosConfig) -> int:
    """Write the folder, in place of an older one; return the exit code.

    Raises:
        InputError: no photo is given, one cannot be used, a folder has another form, or --out holds something else.
    """
    photos = list(find_photos(config))
    if not photos:
        raise InputError("--openimages, --coco, --wallpapers: give at least one folder of photos")
    refuse_equal_keys(photos)
    out = local_output("--out", config.out).resolve()  # a link's target is written, the link stays
    refuse_foreign(config, out)
    with folder_aside(out) as aside:
        write_folder(aside, photos, config)
    print(f"{len(photos)} photos, {len(photos) * config.crops:,} squares, {config.scenes:,} scenes: {out}")
    return 0


def find_photos(config: PhotosConfig) -> Iterator[Photo]:
    """List the photos that may be used, by name.

    Raises:
        InputError: a folder has another form, or holds no free photo.
    """
    for flag, place, listed in (
        ("--openimages", config.openimages, open_images_photos),
        ("--coco", config.coco, coco_photos),
        ("--wallpapers", config.wallpapers, wallpapers),
    ):
        found = list(listed(flag, Path(place))) if place else []
        if place and not found:
            raise InputError(f"{flag} {place}: holds no photo that is free; give another folder")
        yield from found


def refuse_equal_keys(photos: Sequence[Photo]) -> None:
    """Refuse photos whose squares would have the same names.

    Raises:
        InputError: naming two.
    """
    known: dict[str, Photo] = {}
    for photo in photos:
        if (other := known.setdefault(photo.key, photo)) is not photo:
            raise InputError(f"{other.path} and {photo.path}: squares of both would be called {photo.key}; rename one")


def refuse_foreign(config: PhotosConfig, out: Path) -> None:
    """Refuse to replace the photos that are read, or what this command did not write.

    Raises:
        InputError: naming them.
    """
    flags = {"--openimages": config.openimages, "--coco": config.coco, "--wallpapers": config.wallpapers}
    for flag, place in flags.items():
        if place and Path(place).resolve().is_relative_to(out):
            raise InputError(f"--out {config.out}: would replace {flag} {place}; give another folder")
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if there and (OWNERS not in there or there - {"train", BOXES, SOURCES, OWNERS}):
        raise InputError(f"--out {config.out}: holds something that this command did not write; give another folder")


def write_folder(out: Path, photos: list[Photo], config: PhotosConfig) -> None:
    """Fill an empty folder.

    Raises:
        InputError: a photo cannot be used.
    """
    (out / "train").mkdir()
    write_owners(out / OWNERS, photos)
    with (out / BOXES).open("w", newline="") as boxes, (out / SOURCES).open("w") as origin:
        table, sources = csv.writer(boxes), csv.writer(origin)
        table.writerow((*BOX_COLUMNS, *FLAGS))
        sources.writerow(("ImageID", "photo", "licence"))
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


def write_owners(path: Path, photos: list[Photo]) -> None:
    """Write whose photos they are, a row each."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("photo", "origin", "licence", "copyright"))
        table.writerows((photo.path.name, photo.origin, photo.licence, photo.holder) for photo in photos)


def cut_squares(photo: Photo, config: PhotosConfig) -> Iterator[tuple[Pixels, list[tuple[Sides, str]]]]:
    """Cut a photo: [side, side, 3] uint8 and boxes in 0..1 of the square; the first squares are the largest.

    Raises:
        InputError: it cannot be used.
    """
    try:
        data = read_picture(Folder(str(photo.path.parent)), photo.path.name)
        decoded = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=MOST_PIXELS, min_px=1)
    except PhotoError as error:
        raise InputError(f"{photo.path}: cannot be used ({error}); copy it again, or leave it out") from error
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
