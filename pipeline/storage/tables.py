"""Tables: the bytes of a Parquet file -> its table, read on the calling thread alone.

Arrow's own threads let go of the bytes when they are done with them, which may be as the interpreter ends: that aborts
the process, after all its work. So nothing here is read by them. `pq.read_table` would also import pandas.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def open_parquet(file: Any) -> pq.ParquetFile:
    """Open a Parquet file, whose parts are then to be read with `use_threads=False`.

    Args:
        file: as pyarrow takes it.

    Raises:
        pa.ArrowException: it is damaged.
    """
    return pq.ParquetFile(file, pre_buffer=False)


def table_from(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file.

    Args:
        columns: names, in the order that is wanted. None: all, as they lie there.

    Raises:
        KeyError: a column is missing.
        pa.ArrowException: it is damaged.
    """
    table = open_parquet(pa.BufferReader(content)).read(columns, use_threads=False)
    return table if columns is None else table.select(columns)
