"""Unseen: the photos of a COCO folder that `photos` leaves out -> an Open Images folder to shard and to measure on.

    python -m examples.small_model.unseen --coco DIR --out DIR

Their licences allow research, not redistribution: show numbers and figures of these photos, never the photos.
"""

import csv
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from examples.small_model.photos import FREE_COCO
from pipeline.command import guard
from pipeline.errors import InputError

SOURCES, BOXES, CLASSES = "sources.csv", "train-annotations-bbox.csv", "class-descriptions-boxable.csv"


@dataclass(frozen=True)
class UnseenConfig:
    """Gather photos that the small model was not trained on, whole, with their boxes."""

    coco: str
    """A folder of COCO photos in Open Images form: train/, box table, class names, and sources.csv, whose CocoLicenseId
    tells which photos `examples.small_model.photos` takes (4, 7). All others are unseen."""
    out: str
    """The folder to write: train/*.jpg, the box table and class names."""


def main(arguments: list[str]) -> int:
    """Gather as the command line says; return the exit code."""
    return guard(
        lambda: gather_unseen(tyro.cli(UnseenConfig, args=arguments, prog="python -m examples.small_model.unseen")),
        go_on="run the same command again",
    )


def gather_unseen(config: UnseenConfig) -> int:
    """Write the folder; return the exit code.

    Raises:
        InputError: the folder has another form, a photo is missing, or none is unseen.
    """
    coco, out = Path(config.coco), Path(config.out)
    for name in (SOURCES, BOXES, CLASSES):
        if not (coco / name).is_file():
            raise InputError(f"--coco {coco}: holds no {name}; give another folder")
    unseen = read_unseen(coco / SOURCES)
    if missing := sorted(key for key in unseen if not (coco / f"train/{key}.jpg").is_file()):
        raise InputError(f"--coco {coco}: lacks {len(missing)} photos of {SOURCES}, such as train/{missing[0]}.jpg")
    if not unseen:
        raise InputError(f"--coco {coco}: every photo of {SOURCES} may be trained on; give another folder")
    (out / "train").mkdir(parents=True, exist_ok=True)
    for key in sorted(unseen):
        shutil.copyfile(coco / f"train/{key}.jpg", out / f"train/{key}.jpg")
    with (coco / BOXES).open(newline="") as table, (out / BOXES).open("w", newline="") as kept:
        rows = csv.reader(table)
        writer = csv.writer(kept, lineterminator="\n")
        writer.writerow(next(rows))
        boxes = [row for row in rows if row[0] in unseen]
        writer.writerows(boxes)
    shutil.copyfile(coco / CLASSES, out / CLASSES)
    print(f"{len(unseen):,} unseen photos, {len(boxes):,} boxes: {out}")
    return 0


def read_unseen(sources: Path) -> set[str]:
    """Read which photos are not trained on: their ids."""
    with sources.open(newline="") as file:
        return {row["ImageID"] for row in csv.DictReader(file) if row["CocoLicenseId"] not in FREE_COCO}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
