"""Parquet tables come back as they were written, by the thread that asks."""

import io
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.storage.tables import open_parquet, table_from

ROWS = st.lists(st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.text(max_size=3), "c": st.lists(st.booleans())}))
SCHEMA = pa.schema({"a": pa.int64(), "b": pa.string(), "c": pa.list_(pa.bool_())})


def written(table: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


@settings(max_examples=25)
@given(ROWS, st.permutations(["a", "b", "c"]), st.integers(1, 3))
def test_a_table_comes_back_with_its_columns_in_the_order_asked_for(
    rows: list[dict[str, object]], names: list[str], count: int
) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    assert table_from(written(table)).equals(table)
    assert table_from(written(table), names[:count]).equals(table.select(names[:count]))


def test_a_missing_column_and_damaged_bytes_are_told_apart() -> None:
    content = written(pa.table({"a": [1]}))
    with pytest.raises(KeyError, match="b"):
        table_from(content, ["b"])
    for damaged in (b"", b"PAR1", content[:-1]):
        with pytest.raises(pa.ArrowException):
            table_from(damaged)


class WatchedFile(io.BytesIO):
    """Remembers which threads read it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.readers: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.readers.add(threading.get_ident())
        return super().read(size)


def test_no_thread_of_arrow_reads() -> None:
    """One that held Python's memory as the interpreter ends would abort the process."""
    file = WatchedFile(written(pa.table({name: [b"x" * 100] * 1000 for name in "abcd"})))
    assert len(open_parquet(file).read(use_threads=False)) == 1000
    assert file.readers == {threading.get_ident()}
