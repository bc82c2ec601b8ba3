"""A small bench of textures, and methods of a stranger, as files outside of the package."""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (72, 96)  # height, width

STRANGER = '''
import numpy as np

CALLS = []


class Grey:
    """Paints the hole grey."""

    name = "grey"
    settings = {"level": 128}

    def available(self):
        return ""

    def edit(self, cases):
        CALLS.append([case.name for case in cases])
        return [np.where(case.mask[..., None], np.uint8(128), case.source) for case in cases]


class Odd(Grey):
    """Fails in another way on each case."""

    name = "odd"

    def edit(self, cases):
        if any(case.name == "c01" for case in cases):
            raise RuntimeError("no idea")
        return [self.one(case) for case in cases]

    def one(self, case):
        if case.name == "c02":
            return np.full(case.source.shape, np.nan)
        return case.source[1:] if case.name == "c03" else case.source


class Absent(Grey):
    name = "absent"

    def available(self):
        return "its weights are on the moon"
'''


def write_bench(folder: Path, *, cases: int = 5) -> Path:
    """Write a table of cases: smooth noise with a rectangle to repaint, two labels in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(cases):
        name = f"c{number:02d}"
        for what, seed in (("source", number), ("exemplar", 1000 + number)):
            small = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
            picture = Image.fromarray(small).resize(SIZE[::-1], Image.Resampling.BICUBIC)
            picture.save(folder / f"{name}-{what}.png")
        mask = np.zeros(SIZE, np.uint8)
        mask[20:56, 24 : 60 + number] = 255
        Image.fromarray(mask).save(folder / f"{name}-mask.png")
        files = (f"{name}-{what}.png" for what in ("source", "mask", "exemplar", "source"))
        lines.append([name, *files, ("cat", "dog")[number % 2]])
    table = folder / "cases.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["name", "source", "mask", "exemplar", "ground_truth", "label"], *lines])
    return table


def write_stranger(folder: Path) -> None:
    """Write the module `stranger` into a folder; another test's is forgotten."""
    sys.modules.pop("stranger", None)
    (folder / "stranger.py").write_text(STRANGER)
