"""Spill: a stream of tables -> partitions by hash on local disk, each small enough to sort in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.planning.hashing import U64

HASH_COLUMN = "hash"


class Spill:
    """Tables cut into partitions by the range of their hashes; partition i holds only smaller hashes than i + 1.

    Args:
        folder: a local folder; the partitions are Arrow files in it.
        schema: the rows, without their hash.
        partitions: how many, at most 65,536.
    """

    def __init__(self, folder: Path, schema: pa.Schema, *, partitions: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / f"{part:05d}.arrow" for part in range(partitions)]
        schema = schema.append(pa.field(HASH_COLUMN, pa.uint64()))
        self._writers = [pa.ipc.new_file(str(path), schema) for path in self._paths]

    def add(self, table: pa.Table, bounds: NDArray[np.int64]) -> None:
        """Append a table as `partitioned` returns it."""
        for part, writer in enumerate(self._writers):
            if bounds[part] < bounds[part + 1]:
                writer.write_table(table.slice(bounds[part], bounds[part + 1] - bounds[part]))

    def close(self) -> None:
        """Finish writing; from now on partitions can be read."""
        for writer in self._writers:
            writer.close()

    def read(self, part: int) -> pa.Table:
        """Read one partition, its rows sorted by hash, equal hashes in the order in which they came."""
        with pa.memory_map(str(self._paths[part])) as file:
            table = pa.ipc.open_file(file).read_all()
        return table.take(np.argsort(table[HASH_COLUMN].to_numpy(), kind="stable"))


def partitioned(table: pa.Table, hashes: U64, *, partitions: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Order a table's rows by partition, keeping their order inside one.

    Returns:
        The table with its hashes, and [partitions + 1] bounds of the partitions in it.
    """
    # The top 16 bits rise with the hash, and so do the partitions.
    part = ((hashes >> np.uint64(48)) * np.uint64(partitions) >> np.uint64(16)).astype(np.uint16)
    order = np.argsort(part, kind="stable")
    table = table.append_column(HASH_COLUMN, pa.array(hashes)).take(order)
    return table, np.searchsorted(part[order], np.arange(partitions + 1))
