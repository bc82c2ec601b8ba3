"""Leaks: the index of a dataset -> validation photos that the train split also holds, if under another name."""

from pathlib import Path

import numpy as np
import pyarrow.dataset
from numpy.typing import NDArray

NEAR_BITS = 10  # of 64: photos whose perceptual hashes differ by no more are taken for one


def read_index(dataset: Path) -> dict[str, dict[str, NDArray[np.str_]]]:
    """Read, by split, the columns of draw 0: one row a photo."""
    columns = ["key", "image_id", "label", "label_name", "photo_sha256", "photo_phash"]
    table = pyarrow.dataset.dataset(dataset / "index", format="parquet").to_table([*columns, "split", "draw"])
    rows = table.to_pandas().query("draw == 0")
    return {
        split: {name: rows.loc[rows["split"] == split, name].to_numpy(str) for name in columns}
        for split in ("train", "validation")
    }


def find_twins(index: dict[str, dict[str, NDArray[np.str_]]]) -> NDArray[np.bool_]:
    """Mark the validation photos with equal bytes, or nearly equal looks, in the train split: [validation photos]."""
    train, validation = index["train"], index["validation"]
    equal = np.isin(validation["photo_sha256"], train["photo_sha256"])
    bits = _bits(validation["photo_phash"])[:, None] != _bits(train["photo_phash"])[None]
    near = (bits.sum(axis=2) <= NEAR_BITS).any(axis=1)
    return np.asarray(equal | near)


def _bits(hashes: NDArray[np.str_]) -> NDArray[np.uint8]:
    """Hashes as hex digits [n] -> [n, 64]."""
    numbers = np.array([list(bytes.fromhex(digits)) for digits in hashes.tolist()], np.uint8)
    return np.unpackbits(numbers, axis=1)
