"""Split rows: a finished dataset and a split -> its samples, by few columns, and any of them in full."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from pbe.feed.contents import ShardRow, read_contents
from pipeline.errors import InputError
from pipeline.hints import verify_command
from pipeline.shards.manifest import read_manifest
from pipeline.shards.recipe import Json, share_jittered
from pipeline.shards.samples import Row
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.samples import index_schema
from schemas.shards import SPLITS, index_path

READERS = 8
COLUMNS = ["key", "draw", "label", "box", "photo_width", "photo_height", "photo_phash"]


@dataclass(frozen=True)
class SplitRows:
    """The samples of a split, by unit and draw. Each draw holds one box of a photo, and draws may hold the same.

    Args:
        digest: of the dataset's recipe and its shards.
        shards: those that hold them, in the same order.
    """

    folder: Folder
    recipe: Json
    digest: str
    shards: tuple[ShardRow, ...]

    @cached_property
    def table(self) -> pa.Table:
        """COLUMNS of all samples, read when they are first asked for.

        Raises:
            InputError: an index is missing or damaged.
        """
        with ThreadPoolExecutor(READERS) as pool:
            parts = list(pool.map(lambda shard: _read_index(self.folder, shard, COLUMNS), self.shards))
        return pa.concat_tables(parts).combine_chunks()

    def full(self, numbers: list[int]) -> dict[int, Row]:
        """Read the complete index rows of some samples, by their places in the table.

        Raises:
            InputError: an index is missing or damaged.
        """
        columns = index_schema(share_jittered(self.recipe)).names
        ends = np.cumsum([shard["samples"] for shard in self.shards])
        by_shard: dict[int, list[int]] = {}
        for number in numbers:
            by_shard.setdefault(int(np.searchsorted(ends, number, "right")), []).append(number)
        rows: dict[int, Row] = {}
        for place, wanted in sorted(by_shard.items()):
            shard = self.shards[place]
            first = int(ends[place]) - shard["samples"]
            taken = _read_index(self.folder, shard, columns).take(pa.array([number - first for number in wanted]))
            rows |= dict(zip(wanted, taken.to_pylist(), strict=True))
        return rows


def read_split(url: str, split: str) -> SplitRows:
    """Find the shards of a split.

    Raises:
        InputError: the dataset is not finished, or holds no sample of that split.
    """
    if split not in SPLITS:
        raise InputError(f"--split {split}: give one of {', '.join(SPLITS)}")
    folder = Folder(url)
    manifest = read_manifest(folder)
    contents = read_contents(folder, manifest)
    shards = tuple(shard for shard in contents.rows if shard["split"] == split)
    if not shards:
        counts = {name: sum(row["samples"] for row in contents.rows if row["split"] == name) for name in SPLITS}
        there = ", ".join(f"{name} ({count:,} samples)" for name, count in counts.items() if count) or "none at all"
        raise InputError(f"--split {split}: {url} holds no sample of it; there are: {there}")
    return SplitRows(folder, manifest["recipe"], contents.digest, shards)


def _read_index(folder: Folder, shard: ShardRow, columns: list[str]) -> pa.Table:
    """Read columns of a shard's index.

    Raises:
        InputError: it is missing, damaged, or of another length than the table of shards says.
    """
    name = index_path(shard["split"], shard["unit"], shard["draw"])
    remedy = f"run `{verify_command(folder.url)}`, then the shard job again"
    try:
        table = table_from(folder.read(name), columns)
    except (FileNotFoundError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{folder.url}/{name}: {error}; {remedy}") from error
    if len(table) != shard["samples"]:
        raise InputError(f"{folder.url}/{name}: {len(table)} rows for {shard['samples']} samples; {remedy}")
    return table
