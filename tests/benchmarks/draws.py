"""Draws: one core, JPEG bytes -> source, masked source, mask and augmented exemplar, against decoding alone.

    python tests/benchmarks/draws.py [PHOTOS BOXES.csv]

Photos default to the real ones beside the checkout, else to the sample photos. Prints the ratio of samples a second
to photos a second that OpenCV decodes, medians of interleaved rounds in one process on one thread.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.csv
import torch

from pipeline.decoding.decode import decode_photo
from pipeline.draws.draw import DrawRecipe, blank, draw_sample
from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.storage.folder import Folder

ROUNDS = 9
RESOLUTION = 512
REAL = Path(__file__).parent.parent.parent.parent / "shared/data/openimages_v6_train100"
Boxes = dict[str, list[tuple[float, float, float, float]]]


def read_inputs(photos: Path, table: Path) -> tuple[dict[str, bytes], Boxes]:
    """Read all photos with boxes of relative area in [0.02, 0.8], and those boxes."""
    boxes: Boxes = {}
    for row in pyarrow.csv.read_csv(table).to_pylist():
        box = (row["XMin"], row["YMin"], row["XMax"], row["YMax"])
        if 0.02 <= (box[2] - box[0]) * (box[3] - box[1]) <= 0.8:
            boxes.setdefault(row["ImageID"], []).append(box)
    return {name: (photos / f"{name}.jpg").read_bytes() for name in boxes}, boxes


def decode_alone(photos: dict[str, bytes]) -> None:
    for data in photos.values():
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def draw(photos: dict[str, bytes], boxes: Boxes, draws: int) -> None:
    recipe = DrawRecipe(seed=0, resolution=RESOLUTION, long_boxes="squash", min_box_px=8)
    for name, data in photos.items():
        photo = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=10**8, min_px=32)
        for number in range(draws):
            box_id = number % len(boxes[name])
            box = boxes[name][box_id]
            sample = draw_sample(photo, box, recipe=recipe, image_id=name, box_id=box_id, draw=number)
            blank(sample.source, sample.mask)


def main() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        if len(sys.argv) == 3:
            folder, table = Path(sys.argv[1]), Path(sys.argv[2])
        elif REAL.is_dir():
            folder, table = REAL / "train", REAL / "oidv6-train-annotations-bbox.csv"
        else:
            root = Path(write_openimages_folder(Folder(scratch)).url)
            folder, table = root / "train", root / "train-annotations-bbox.csv"
        photos, boxes = read_inputs(folder, table)
    work: dict[str, Callable[[], None]] = {
        "decode": lambda: decode_alone(photos),
        "draws=1": lambda: draw(photos, boxes, 1),
        "draws=4": lambda: draw(photos, boxes, 4),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_number in range(ROUNDS + 1):
        for name, action in work.items():
            began = time.perf_counter()
            action()
            if round_number:  # the first warms up
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    decoded = len(photos) / medians["decode"]
    print(f"{len(photos)} photos of {folder}, {RESOLUTION} px, one thread; decoding alone: {decoded:.0f} photos/s")
    for draws, floor in ((1, 0.5), (4, 1.0)):
        drawn = draws * len(photos) / medians[f"draws={draws}"]
        print(f"draws={draws}: {drawn:.0f} samples/s, {drawn / decoded:.2f} x decoding alone (floor {floor})")


if __name__ == "__main__":
    main()
