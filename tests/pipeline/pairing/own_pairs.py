"""Photos with masks of their own, the command that makes a dataset of them, and what that dataset holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from PIL import Image

from pipeline.pairs import shard_pairs
from tests.pipeline.conftest import files_of
from tests.pipeline.draws.blobs import blobs

SMALL = ("--model", "untrained", "--resolution", "64", "--draws", "2", "--device", "cpu", "--workers", "2")
Jpeg = Callable[..., bytes]


def write_pairs(folder: Path, jpeg: Jpeg, names: tuple[str, ...] = ("a", "b", "c", "d", "e")) -> Path:
    """Photos of 150 x 120 px with masks of some pieces."""
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True)
    for seed, name in enumerate(names):
        (folder / f"images/{name}.jpg").write_bytes(jpeg((150 + seed, 120)))
        mask = np.zeros((120, 150 + seed), np.uint8)
        mask[40:90, 50:110] = blobs(seed, 50, 60, grain=4, share=0.4)
        write_mask(folder / f"masks/{name}.png", mask)
    return folder


def write_mask(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask * np.uint8(255)).save(path)


def make(folder: Path, out: Path, *more: str) -> int:
    return shard_pairs(["--pairs", str(folder), "--out", str(out), *SMALL, *more])


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in files_of(out)}


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(out / "index", format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["draw"], row["image_id"]))


def reasons_of(out: Path) -> dict[str, str]:
    drops = ds.dataset(out / "drops/units", format="parquet").to_table().to_pylist()
    return {drop["image_id"]: f"{drop['stage']}/{drop['reason']}" for drop in drops}
