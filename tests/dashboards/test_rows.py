"""Rows: which samples are shown, of datasets whole, unfinished, damaged, and of another version."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.conditions import as_filter, parse_condition
from dashboards.quality import QUALITY
from dashboards.rows import choose_rows, is_dataset, open_rows
from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from schemas.samples import INDEX
from schemas.shards import JITTERED_VERSION, MANIFEST, SCHEMA_VERSION, SHARDS_TABLE
from tests.synthetic import write_manifest

Make = Callable[..., PreparedJob]
TEXTS = ["label_name!=Flower", "mask_share<0.3", "split=train", "at_border=no", "draw>=1", "cover>0.999"]


def _keys(folder: Path, *texts: str, limit: int = 0, seed: int = 0) -> list[str]:
    conditions = [parse_condition(text) for text in texts]
    chosen = choose_rows(open_rows(Folder(str(folder))), conditions, limit=limit, seed=seed)
    assert chosen.missing == ()
    return list(chosen.table["key"].to_pylist())


def test_without_conditions_every_sample_is_there_once_in_the_order_of_the_shards(finished: Path) -> None:
    dataset = open_rows(Folder(str(finished)))
    chosen = choose_rows(dataset, limit=0)
    every = pa.concat_tables([pq.read_table(finished / shard.index) for shard in dataset.shards])
    assert chosen.table.select(INDEX.names) == every.cast(INDEX)
    assert chosen.table.schema.names == [*INDEX.names, *QUALITY.names]
    assert chosen.matched == len(every) == dataset.samples == 14
    assert dataset.state == "complete"


def test_a_larger_limit_shows_the_same_samples_and_more(finished: Path) -> None:
    every = _keys(finished)
    shown: set[str] = set()
    for limit in range(1, len(every) + 2):
        keys = _keys(finished, limit=limit)
        assert len(keys) == min(limit, len(every)) and shown < {*keys, "more"}
        assert keys == sorted(keys, key=every.index)
        shown = set(keys)
    assert _keys(finished, limit=5) == _keys(finished, limit=5)
    assert len({tuple(_keys(finished, limit=5, seed=seed)) for seed in range(5)}) > 1


@settings(max_examples=20)
@given(texts=st.lists(st.sampled_from(TEXTS), unique=True), limit=st.integers(0, 15))
def test_conditions_choose_what_filtering_all_rows_does(finished: Path, texts: list[str], limit: int) -> None:
    everything = choose_rows(open_rows(Folder(str(finished))), limit=0).table
    expected = everything.filter(as_filter([parse_condition(text) for text in texts])) if texts else everything
    chosen = choose_rows(open_rows(Folder(str(finished))), [parse_condition(text) for text in texts], limit=limit)
    assert chosen.matched == len(expected)
    if limit == 0:
        assert chosen.table == expected.combine_chunks()
    else:
        keys = chosen.table["key"].to_pylist()
        assert chosen.cut == (limit < len(expected))
        assert len(keys) == min(limit, len(expected)) and set(keys) <= set(expected["key"].to_pylist())


def test_an_unfinished_dataset_shows_what_is_there_and_says_how_far_it_is(make: Make, tmp_path: Path) -> None:
    make(tmp_path, finish=False, draws=1)
    for path in sorted((tmp_path / "units").iterdir())[1:]:
        path.unlink()
    dataset = open_rows(Folder(str(tmp_path)))
    assert is_dataset(dataset.folder)
    assert dataset.state.startswith("unfinished: 1 finished shards so far")
    assert len(choose_rows(dataset, limit=0).table) == dataset.samples == 3
    (tmp_path / "run/config.json").write_text('{"draws": 2}')
    assert open_rows(dataset.folder).state == "unfinished: 1 of 6 shards so far"
    (tmp_path / "run/config.json").write_text('{"draws": 2')
    assert open_rows(dataset.folder).state.startswith("unfinished: 1 finished shards so far")

    next((tmp_path / "units").iterdir()).unlink()
    assert not is_dataset(dataset.folder)
    with pytest.raises(InputError, match="no finished shard yet"):
        open_rows(dataset.folder)


def test_a_dataset_of_another_version_is_refused(dataset: Path) -> None:
    folder = Folder(str(dataset))
    write_manifest(folder, {**read_manifest(folder), "schema_version": JITTERED_VERSION + 1})
    with pytest.raises(InputError, match=f"schema version {JITTERED_VERSION + 1}, this code reads {SCHEMA_VERSION}"):
        open_rows(folder)


def test_an_unfinished_dataset_without_its_recipe_is_refused_with_the_remedy(dataset: Path) -> None:
    (dataset / MANIFEST).unlink()
    (dataset / "run/recipe.json").unlink()
    with pytest.raises(InputError, match="without its recipe"):
        open_rows(Folder(str(dataset)))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _fill_head(path: Path) -> None:
    path.write_bytes(b"PAR1" + bytes(96) + path.read_bytes()[100:])


def _fill_foot(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-200] + bytes(160) + content[-40:])


def _drop_column(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["fit"]), path)


def _drop_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(0, 1), path)


@pytest.mark.parametrize(
    ("change", "said"),
    [(Path.unlink, "missing"), (_cut, "damaged"), (_fill_head, "damaged"), (_fill_foot, "damaged")],
)
def test_a_table_of_shards_that_cannot_be_read_is_refused_with_the_remedy(
    dataset: Path, change: Callable[[Path], None], said: str
) -> None:
    change(dataset / SHARDS_TABLE)
    with pytest.raises(InputError, match=f"{said}.*remove {MANIFEST} and run the shard job again"):
        open_rows(Folder(str(dataset)))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "missing"),
        (_cut, "damaged"),
        (_fill_head, "damaged"),
        (_fill_foot, "damaged"),
        (_drop_column, "damaged"),
        (_drop_rows, "1 rows, its record has 3"),
    ],
)
@pytest.mark.parametrize("texts", [(), ("draw>=0",), ("mask_share>=0",)], ids=str)
def test_an_index_that_cannot_be_read_is_named_and_the_others_are_shown(
    dataset: Path, change: Callable[[Path], None], said: str, texts: tuple[str, ...]
) -> None:
    folder = Folder(str(dataset))
    whole = _keys(dataset)
    first = open_rows(folder).shards[0]
    lost = pq.read_table(dataset / first.index)["key"].to_pylist()
    change(dataset / first.index)
    chosen = choose_rows(open_rows(folder), [parse_condition(text) for text in texts], limit=0)
    assert chosen.table["key"].to_pylist() == [key for key in whole if key not in lost]
    [line] = chosen.missing
    assert line.startswith(f"{first.index}: ") and said in line
