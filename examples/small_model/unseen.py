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

from examples.small_model.sources import COCO_LICENCES, read_coco_licences, read_rows
from pipeline.command import guard
from pipeline.errors import InputError
from pipeline.storage.whole_files import file_aside
from pipeline.storage.writable import local_output

BOXES, CLASSES = "train-annotations-bbox.csv", "class-descriptions-boxable.csv"


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
    coco, out = Path(config.coco), local_output("--out", config.out)
    if out.resolve() == coco.resolve():
        raise InputError(f"--out {config.out}: is the folder of --coco itself; give another")
    unseen = {key for key, licence in read_coco_licences("--coco", coco).items() if not licence}
    if missing := sorted(key for key in unseen if not (coco / f"train/{key}.jpg").is_file()):
        raise InputError(
            f"--coco {coco}: lacks {len(missing)} photos of {COCO_LICENCES}, such as train/{missing[0]}.jpg"
        )
    if not unseen:
        raise InputError(f"--coco {coco}: every photo of {COCO_LICENCES} may be trained on; give another folder")
    boxes = [row for row in read_rows("--coco", coco / BOXES, ("ImageID",)) if row["ImageID"] in unseen]
    if not boxes or not (coco / CLASSES).is_file():
        raise InputError(f"--coco {coco}: holds no {CLASSES}, or no box of an unseen photo; give another folder")
    (out / "train").mkdir(parents=True, exist_ok=True)
    for key in sorted(unseen):
        shutil.copyfile(coco / f"train/{key}.jpg", out / f"train/{key}.jpg")
    shutil.copyfile(coco / CLASSES, out / CLASSES)
    with file_aside(out / BOXES) as aside, aside.open("w", newline="") as kept:  # last: it names complete files
        writer = csv.DictWriter(kept, list(boxes[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(boxes)
    print(f"{len(unseen):,} unseen photos, {len(boxes):,} boxes: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
