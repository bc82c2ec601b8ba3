"""Overlap: photos -> copies planted of each: how many pbe.leaks finds, and how many other pairs it takes for one.

    python -m tests.benchmarks.overlap FOLDER... [--limit 300]

Each photo is known; each change of `planting.CHANGES` makes one copy of each, which is compared with all known photos.
A copy counts as found where its own photo is; another photo that is found is a false positive, listed by name, unless
the photos are real duplicates of each other, which a look tells.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import tyro

from pbe.evaluation.overlap.comparing import KnownPhotos
from pbe.evaluation.overlap.greys import read_greys
from pipeline.decoding.decode import decode_photo
from pipeline.photos.formats import is_picture
from pipeline.rng import rng_for
from tests.pbe.evaluation.overlap.planting import CHANGES, plant

MAX_PIXELS = 180_000_000


@dataclass(frozen=True)
class OverlapBenchmark:
    """Measure recall by change, false positives, and photos a second on one core."""

    folders: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Of photos."""
    limit: int = 300
    """Photos of each folder, a seeded choice."""


def measure(config: OverlapBenchmark) -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    files = [file for folder in config.folders for file in choose(Path(folder), config.limit)]
    data = [file.read_bytes() for file in files]
    began = time.process_time()
    greys = [read_greys(photo) for photo in data]
    print(f"{len(files) / (time.process_time() - began):.0f} photos decoded a second on one core")
    known = KnownPhotos([str(file) for file in files], greys)
    pairs = false = 0
    others: set[tuple[str, ...]] = set()
    for change in CHANGES:
        found, hits, aligned, seconds = 0, 0, 0, 0.0
        for number, file in enumerate(files):
            photo = decode_photo(data[number], rotation=None, boxes_frame="stored", max_pixels=MAX_PIXELS, min_px=1)
            copy = read_greys(plant(photo.pixels, change, number))
            began = time.process_time()
            compared = known.compare(copy)
            seconds += time.process_time() - began
            names = {match.other for match in compared.matches}
            found += str(file) in names
            wrong = names - {str(file)}
            pairs, false = pairs + len(files) - 1, false + len(wrong)
            others |= {tuple(sorted((str(file), name))) for name in wrong}
            hits, aligned = hits + compared.hits, aligned + compared.aligned
        print(
            f"{change}: {found} of {len(files)} found ({found / len(files):.2%}); {1000 * seconds / len(files):.1f} ms "
            f"a photo against {len(files)}, {hits / len(files):.2f} near, {aligned / len(files):.2f} aligned",
            flush=True,
        )
    print(f"false positives: {false} of {pairs:,} pairs, of {len(others)} different photos")
    for one, other in sorted(others):
        print(f"  {one} {other}")


def choose(folder: Path, limit: int) -> list[Path]:
    """Choose photos of a folder, seeded."""
    files = sorted(file for file in folder.iterdir() if is_picture(file.name))
    return [files[place] for place in sorted(rng_for(0, "overlap benchmark").permutation(len(files))[:limit])]


if __name__ == "__main__":
    measure(tyro.cli(OverlapBenchmark, args=sys.argv[1:], prog="python -m tests.benchmarks.overlap"))
