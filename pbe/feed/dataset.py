"""Dataset: URL -> its shards by draw, its sizes, and the index of any shard on request."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pbe.feed.config import MaskMode
from pbe.feed.contents import Contents, read_contents
from pipeline.errors import InputError
from pipeline.hints import verify_command
from pipeline.rng import rng_for
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.samples import EXEMPLAR_EXT, SOURCE_EXT, TENSORS_EXT
from schemas.shards import index_path

_INDEX_COLUMNS = ["key", "mask_polygon", "box_in_crop", "offset", "size", "members", "sha256"]

SPARE_INDEXES = 16
HOLES, HOLE_SHARDS = 50_000, 200  # that are measured: enough samples, of no more shards


@dataclass(frozen=True)
class Shard:
    """A shard of the shards table."""

    name: str
    index: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Member:
    """One kind of member of a shard's samples: bytes into the shard and sizes, [n] each; -1 where a sample lacks it."""

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class ShardIndex:
    """The columns of a shard's index that the feed needs.

    Args:
        offsets, ends: [n] bytes into the shard, of the complete sample.
        members: by extension.
        boxes: [n, 4] float32 x_min y_min x_max y_max, shares of the crop.
    """

    keys: list[str]
    offsets: NDArray[np.int64]
    ends: NDArray[np.int64]
    sha256: list[str]
    members: dict[str, Member]
    boxes: NDArray[np.float32]
    _points: NDArray[np.float32]
    _first_points: NDArray[np.int64]

    def polygon(self, row: int) -> NDArray[np.float32]:
        """Return the mask of a sample: [points, 2] x y, shares of the crop."""
        return self._points[self._first_points[row] : self._first_points[row + 1]].reshape(-1, 2)

    def hole_sides(self, masks: MaskMode) -> NDArray[np.float32]:
        """Return the longest side of each mask's box, [n] shares of the crop; see FeedConfig.masks."""
        if masks == "box":
            low, high = self.boxes[:, :2], self.boxes[:, 2:]
        else:
            points, firsts = self._points.reshape(-1, 2), self._first_points[:-1] // 2
            low, high = np.minimum.reduceat(points, firsts), np.maximum.reduceat(points, firsts)
        sides: NDArray[np.float32] = (high.clip(0, 1) - low.clip(0, 1)).max(axis=1)
        return sides


@dataclass(frozen=True)
class Dataset:
    """A finished dataset, one split of it.

    Args:
        contents: what the draws that are read hold, of all splits.
        shards: by draw.
        resolution: of the source, in px.
        factor: source px along a side of a latent cell.
        channels: of a latent.
        dimension: of an exemplar vector.
        index: reads a shard's index; those last used stay in memory.
    """

    folder: Folder
    split: str
    contents: Contents
    shards: tuple[tuple[Shard, ...], ...]
    resolution: int
    factor: int
    channels: int
    dimension: int
    index: Callable[[Shard], ShardIndex]

    @property
    def digest(self) -> str:
        """Of recipe and shards of the draws that are read; datasets with equal digests have equal samples."""
        return self.contents.digest

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a latent."""
        side = self.resolution // self.factor
        return self.channels, side, side

    @property
    def counts(self) -> list[list[int]]:
        """Samples of each shard, by draw."""
        return [[shard.samples for shard in shards] for shards in self.shards]


def open_dataset(
    url: str, *, split: str, draws: int = 0, lanes: int = 1, block: int = 1, anonymous: bool = False
) -> Dataset:
    """Open a finished dataset; reads its manifest and shards table only.

    Args:
        draws: read the first ones alone; 0, or more than there are: all.
        lanes, block: places read side by side, and samples read together at each; they decide how many indexes stay
            in memory.

    Raises:
        InputError: it is unfinished, of another schema version, inconsistent, or has no sample in the split.
    """
    folder = Folder(url, anonymous)
    manifest = read_manifest(folder)
    contents = read_contents(folder, manifest, draws=draws)
    by_draw = _by_draw(contents, split)
    if not any(by_draw):
        raise InputError(f"{url}: no sample in the {split} split; see --split-shares of the command that made it")
    # Each lane needs the indexes of this block and of the next one, which is fetched ahead; both may end in a further
    # shard than they began in.
    shards_a_block = max(-(-block * len(shards) // sum(s.samples for s in shards)) for shards in by_draw if shards)
    indexes_kept = SPARE_INDEXES + lanes * (2 + 2 * shards_a_block)
    recipe = manifest["recipe"]
    return Dataset(
        folder=folder,
        split=split,
        contents=contents,
        shards=by_draw,
        resolution=recipe["resolution"],
        factor=recipe["vae"]["factor"],
        channels=recipe["vae"]["channels"],
        dimension=recipe["clip"]["dimension"],
        index=lru_cache(maxsize=indexes_kept)(lambda shard: read_shard_index(folder, shard)),
    )


def check_sources(dataset: Dataset) -> None:
    """Refuse box masks for a dataset without sources, by its first shard.

    Raises:
        InputError: it has none.
    """
    first = next(shard for shards in dataset.shards for shard in shards)
    if dataset.index(first).members[SOURCE_EXT].sizes.min() < 0:
        raise InputError(
            f"{dataset.folder.url}: box masks need the sources, which its shards lack; make it with --keep-source"
        )


def sample_hole_sides(dataset: Dataset, *, masks: MaskMode) -> NDArray[np.float32]:
    """Measure the holes of a split: [n] shares of the crop's side, at least a pixel's.

    Of all its samples where it has no more than HOLES. Of a larger split, those of whole shards, drawn by the dataset's
    digest alone, until there are HOLES of them or HOLE_SHARDS shards: photos lie in the shards in the order of a hash,
    so that any shard is a fair sample.

    Raises:
        InputError: an index is damaged.
    """
    shards = [shard for by_draw in dataset.shards for shard in by_draw]
    sides = np.empty(0, np.float32)
    for place in rng_for(0, "hole sides", dataset.digest).permutation(len(shards))[:HOLE_SHARDS]:
        sides = np.append(sides, read_shard_index(dataset.folder, shards[place]).hole_sides(masks))
        if len(sides) >= HOLES:
            break
    if not np.isfinite(sides).all():
        remedy = f"run `{verify_command(dataset.folder.url)}`, then the shard job again"
        raise InputError(f"{dataset.folder.url}/index: masks with numbers that are not finite; {remedy}")
    return sides.clip(1 / dataset.resolution, None)


def read_shard_index(folder: Folder, shard: Shard) -> ShardIndex:
    """Read the columns of a shard's index that the feed needs.

    Raises:
        InputError: it is missing, damaged, or of another length than the shards table says.
    """
    remedy = f"run `{verify_command(folder.url)}`, then the shard job again"
    try:
        table = table_from(folder.read(shard.index), _INDEX_COLUMNS).combine_chunks()
    except (FileNotFoundError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{folder.url}/{shard.index}: {error}; {remedy}") from error
    if len(table) != shard.samples:
        raise InputError(f"{folder.url}/{shard.index}: {len(table)} rows for {shard.samples} samples; {remedy}")
    polygons = _column(table, "mask_polygon")
    offsets = _numbers(_column(table, "offset"))
    return ShardIndex(
        keys=_column(table, "key").to_pylist(),
        offsets=offsets,
        ends=offsets + _numbers(_column(table, "size")),
        sha256=_column(table, "sha256").to_pylist(),
        members=_members(_column(table, "members")),
        boxes=_numbers(_column(table, "box_in_crop").flatten()).reshape(-1, 4),
        _points=_numbers(polygons.flatten()),
        _first_points=np.concatenate([[0], np.cumsum(_numbers(pc.list_value_length(polygons)))]).astype(np.int64),
    )


def _by_draw(contents: Contents, split: str) -> tuple[tuple[Shard, ...], ...]:
    """Sort the shards of a split by draw, then unit."""
    shards: list[list[Shard]] = [[] for _ in range(contents.draws)]
    for row in (row for row in contents.rows if row["split"] == split):
        index = index_path(row["split"], row["unit"], row["draw"])
        shards[row["draw"]].append(Shard(row["name"], index, row["samples"], row["bytes"], row["sha256"]))
    return tuple(map(tuple, shards))


def _members(column: Any) -> dict[str, Member]:
    """Turn a column of member lists around: by extension, where each sample's member lies."""
    # Arrow stores the lists of all samples end to end: `rows` names the sample that each member belongs to.
    samples = len(column)
    rows = np.repeat(np.arange(samples), _numbers(pc.list_value_length(column)))
    parts = column.flatten()
    extensions = parts.field("ext").dictionary_encode()
    names, codes = extensions.dictionary.to_pylist(), _numbers(extensions.indices)
    offsets, sizes = (_numbers(parts.field(name)) for name in ("offset", "size"))
    members = {}
    for extension in (TENSORS_EXT, EXEMPLAR_EXT, SOURCE_EXT):
        chosen = codes == (names.index(extension) if extension in names else -1)
        member = Member(np.full(samples, -1, np.int64), np.full(samples, -1, np.int64))
        member.offsets[rows[chosen]] = offsets[chosen]
        member.sizes[rows[chosen]] = sizes[chosen]
        members[extension] = member
    return members


def _column(table: pa.Table, name: str) -> Any:
    """Return a column as one Arrow array; the table has one chunk a column, or none where it is empty."""
    column = table[name]
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _numbers(array: Any) -> NDArray[Any]:
    """View an Arrow array of numbers, without nulls, as a numpy one."""
    return np.from_dlpack(array)
