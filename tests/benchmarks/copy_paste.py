"""Copy-paste: real photos with boxes -> how many copies the score finds, how many others it takes for one, its speed.

    python -m tests.benchmarks.copy_paste [FOLDER ...] [--cases N] [--short PX] [--json FILE]

A folder holds `train/*.jpg` and a table of boxes as Open Images has it. A case is a box, as a hole in its photo, and as
exemplar the box of the same class in another photo that is nearest in proportions. Prints, for each kind of pair, its
share above the threshold with its number; unrelated pairs give the threshold. One thread.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pbe.evaluation.copying.harmonising import harmonise_reinhard
from pbe.evaluation.copying.mismatched import CopyCase, null_scores, threshold
from pbe.evaluation.copying.pasting import paste_exemplar, paste_object
from pbe.evaluation.copying.score import Exemplar, Region, copy_paste_score, reduce_exemplar, reduce_region
from pbe.evaluation.copying.segmenting import segment_exemplar
from pipeline.arrays import Hole, PixelBox, Pixels
from pipeline.rng import rng_for
from tests.benchmarks.machine import describe_machine, write_json

REAL = Path(__file__).parents[3] / "shared" / "data"
FOLDERS = ("openimages_v6_train100", "realset256")
LEAST_PX, LARGEST, LONGEST = 40, 0.7, 4  # of a box: its sides, its share of the photo, its proportions
PAD_PX = 4


@dataclass(frozen=True)
class Photo:
    name: str
    label: str
    box: PixelBox
    pixels: Pixels

    @property
    def proportions(self) -> float:
        left, top, right, bottom = self.box
        return float(np.log((right - left) / (bottom - top)))

    @property
    def hole(self) -> Hole:
        left, top, right, bottom = self.box
        mask = np.zeros(self.pixels.shape[:2], np.bool_)
        mask[top:bottom, left:right] = True
        return mask

    @property
    def exemplar(self) -> Pixels:
        left, top, right, bottom = self.box
        rows = slice(max(top - PAD_PX, 0), bottom + PAD_PX)
        return np.ascontiguousarray(self.pixels[rows, max(left - PAD_PX, 0) : right + PAD_PX])


def read_boxes(folder: Path, short: int) -> Iterator[Photo]:
    """Read photos, their short side brought to `short`, once for each box that is fit for a case."""
    pictures: dict[str, Pixels] = {}
    with next(folder.glob("*annotations-bbox.csv")).open() as table:
        for row in csv.DictReader(table):
            name = row["ImageID"]
            if name not in pictures:
                pixels = cv2.cvtColor(cv2.imread(str(folder / "train" / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
                scale = short / min(pixels.shape[:2])
                method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
                pictures[name] = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=method)
            height, width = pictures[name].shape[:2]
            left, right = (round(float(row[side]) * width) for side in ("XMin", "XMax"))
            top, bottom = (round(float(row[side]) * height) for side in ("YMin", "YMax"))
            columns, rows = right - left, bottom - top
            if (
                row["IsGroupOf"] != "1"
                and min(columns, rows) >= LEAST_PX
                and columns * rows <= LARGEST * width * height
                and max(columns, rows) <= LONGEST * min(columns, rows)
            ):
                yield Photo(name, row["LabelName"], (left, top, right, bottom), pictures[name])


def draw_pairs(boxes: list[Photo], count: int) -> list[tuple[Photo, Photo]]:
    """Draw boxes, each with the nearest in proportions of its class in another photo; those alone are left out."""
    pairs = []
    for at in rng_for(0, "copy-paste benchmark").permutation(len(boxes)):
        ours = boxes[at]
        others = [other for other in boxes if other.label == ours.label and other.name != ours.name]
        if others:
            pairs.append((ours, min(others, key=lambda other: abs(other.proportions - ours.proportions))))
    return pairs[:count]


def results_of(source: Pixels, mask: Hole, exemplar: Pixels) -> dict[str, tuple[Pixels, Hole | None]]:
    """Make each kind of result of a case, with the exemplar's mask that the score is told."""
    exact = paste_exemplar(source, mask, exemplar)
    cut_out = segment_exemplar(exemplar)
    segmented, where = paste_object(source, mask, exemplar, cut_out)
    left, top, right, bottom = (int(edge) for edge in cv2.boundingRect(mask.astype(np.uint8)))
    frame = np.zeros_like(mask)
    frame[top : top + bottom, left : left + right] = (
        cv2.resize(cut_out.astype(np.uint8), (right, bottom), interpolation=cv2.INTER_NEAREST) > 0
    )
    in_frame = np.where(frame[..., None], exact, source)
    return {
        "exact paste": (exact, None),
        "exact, harmonised": (harmonise_reinhard(exact, mask), None),
        "GrabCut, its mask told": (segmented, cut_out),
        "GrabCut, harmonised, its mask told": (harmonise_reinhard(segmented, where), cut_out),
        "GrabCut in the exemplar's frame": (in_frame, None),
        "GrabCut in the frame, harmonised": (harmonise_reinhard(in_frame, frame), None),
        "GrabCut, enlarged": (segmented, None),
        "another object of the class": (source, None),
    }


def measure(folder: Path, *, short: int, cases: int) -> dict[str, float]:
    """Score all pairs of a folder; print and return the shares above the threshold, and pairs/s."""
    pairs = draw_pairs(list(read_boxes(folder, short)), cases)
    null = null_scores([case for pair in enumerate(pairs) for case in _copy_case(*pair)])
    tau = threshold(null)
    if tau is None:
        raise SystemExit(f"{folder}: {len(null)} unrelated pairs are too few for a threshold; take more --cases")
    print(
        f"{folder.name}, short side {short}: {len(null)} unrelated pairs, mean {null.mean():.3f}, threshold {tau:.3f}"
    )
    scores: dict[str, list[float | None]] = {}
    seconds = 0.0
    for ours, theirs in pairs:
        for kind, (result, told) in results_of(ours.pixels, ours.hole, theirs.exemplar).items():
            began = time.process_time()
            measured = copy_paste_score(result, ours.hole, theirs.exemplar, told)
            seconds += time.process_time() - began
            scores.setdefault(kind, []).append(measured.value)
    shares = {kind: _share(values, lambda value: value > tau) for kind, values in scores.items()}
    for kind, values in scores.items():
        mean = np.mean([value for value in values if value is not None])
        print(f"  {kind:36s} n {len(values):4d}  mean {mean:.3f}  above the threshold {100 * shares[kind]:.1f} %")
    rate = sum(map(len, scores.values())) / seconds
    print(f"  {rate:.0f} pairs/s")
    return {**shares, "pairs/s": rate, "threshold": tau}


def _share(values: list[float | None], holds: Callable[[float], bool]) -> float:
    """Without a score is not copied."""
    return sum(value is not None and holds(value) for value in values) / len(values)


def _copy_case(at: int, pair: tuple[Photo, Photo]) -> Iterator[CopyCase]:
    ours, theirs = pair
    region, exemplar = reduce_region(ours.pixels, ours.hole), reduce_exemplar(theirs.exemplar)
    if isinstance(region, Region) and isinstance(exemplar, Exemplar):
        yield CopyCase(str(at), (region,), exemplar, frozenset({ours.name, theirs.name}))


def main() -> int:
    """Measure each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[REAL / name for name in FOLDERS])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--short", type=int, default=512)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    cv2.setNumThreads(1)
    found = {folder.name: measure(folder, short=flags.short, cases=flags.cases) for folder in flags.folders}
    if flags.json:
        write_json(flags.json, {"machine": describe_machine("cpu"), "results": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
