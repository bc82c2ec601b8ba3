import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.decoding.jpeg import encode_jpeg
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.verification.dataset import list_files, verify_listing
from schemas.drops import DROPS
from schemas.samples import INDEX
from schemas.shards import json_bytes
from tests.pipeline.conftest import change_byte, files_of, find_problems, problems
from tests.pipeline.verification.resigned import change_index, rewrite_shard, sign, sign_chain

bits = st.integers(0, 7)
Make = Callable[..., PreparedJob]


def test_a_sound_dataset_has_no_problems(dataset: Path) -> None:
    assert problems(dataset) == []


def test_every_file_is_under_a_digest(dataset: Path) -> None:
    kinds = {name.split("/")[0] for name in files_of(dataset)}
    pictures = {"card.md", "overview.png", "funnel.png"}
    assert kinds == {"manifest.json", "shards.parquet", *pictures, "shards", "index", "drops", "units"}
    for name in files_of(dataset):
        data = (dataset / name).read_bytes()
        (dataset / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert any(name in line for line in problems(dataset)), name
        (dataset / name).write_bytes(data)
    assert problems(dataset) == []


DAMAGES: dict[str, Callable[[Path, float, int], object]] = {
    "changed byte": change_byte,
    "truncated": lambda path, place, bit: path.write_bytes(path.read_bytes()[: int(place * path.stat().st_size)]),
    "appended": lambda path, place, bit: path.write_bytes(path.read_bytes() + bytes([bit])),
    "deleted": lambda path, place, bit: path.unlink(),
    "garbage": lambda path, place, bit: path.write_bytes(b"\xff\x00garbage" * (1 + bit)),
    "a folder": lambda path, place, bit: (path.unlink(), path.mkdir()),
}


@pytest.mark.heavy
@settings(max_examples=80)
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(DAMAGES)), st.floats(0, 1, exclude_max=True), bits)
def test_any_damage_to_any_file_is_found_and_its_file_named(
    dataset: Path, choice: random.Random, damage: str, place: float, bit: int
) -> None:
    name = choice.choice(files_of(dataset))
    data = (dataset / name).read_bytes()
    DAMAGES[damage](dataset / name, place, bit)
    try:
        found = problems(dataset)
    finally:
        if (dataset / name).is_dir():
            (dataset / name).rmdir()
        (dataset / name).write_bytes(data)
    assert any(name in line for line in found), (name, damage)


@pytest.mark.parametrize(
    "name",
    [
        "stray.txt",
        "units/000000-d00.json.tmp",
        "units/000099-d00.json",
        "shards/test/000000-d00.tar",
        "drops/b.parquet",
    ],
)
def test_a_file_that_does_not_belong_is_found(dataset: Path, name: str) -> None:
    (dataset / name).parent.mkdir(exist_ok=True)
    (dataset / name).write_bytes(b"")
    assert problems(dataset) == [f"{name}: no record names it"]


@pytest.mark.parametrize("folder", ["shards", "index", "drops", "units"])
def test_a_missing_folder_is_found_file_by_file(dataset: Path, folder: str) -> None:
    lost = [name for name in files_of(dataset) if name.startswith(f"{folder}/")]
    shutil.rmtree(dataset / folder)
    found = problems(dataset)
    assert all(f"{name}: missing" in found for name in lost)


def test_missing_and_truncated_files_are_found_without_reading_them(dataset: Path) -> None:
    out = Folder(str(dataset))
    assert verify_listing(read_records(out), list_files(out)) == []
    (dataset / "shards/train/000000-d00.tar").unlink()
    index = dataset / "index/train/000000-d01.parquet"
    index.write_bytes(index.read_bytes()[:-1])
    found = verify_listing(read_records(out), list_files(out))
    assert {(problem.file, problem.remove) for problem in found} == {
        ("shards/train/000000-d00.tar", ("units/000000-d00.json",)),
        ("index/train/000000-d01.parquet", ("units/000000-d01.json",)),
    }


def test_two_files_that_changed_places_are_both_named(dataset: Path) -> None:
    for pattern in ("shards/*/*.tar", "index/*/*.parquet", "units/*.json", "*.png"):
        one, other = sorted(dataset.glob(pattern))[:2]
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        named = {problem.file for problem in find_problems(dataset)}
        assert {str(one.relative_to(dataset)), str(other.relative_to(dataset))} <= named
        one.write_bytes(first)
        other.write_bytes(second)


RECORD_CHANGES = {
    "text for a count": {"samples": "3"},
    "null": {"planned": None},
    "a negative count": {"boxes_lost": -1},
    "true for a count": {"photos": True},
    "an unknown field": {"extra": 1},
    "a list for a digest": {"drops": []},
    "a path out of the dataset": {"drops": {"name": "../../secret", "bytes": 1, "sha256": ""}},
    "another draw": {"draw": 7},
    "another split": {"split": "elsewhere"},
    "another recipe": {"recipe_digest": "0" * 64},
    "an earlier version": {"schema_version": 1},
    "other counts": {"boxes_kept": 10_000},
    "counts that are no numbers": {"dropped": {"draw/empty_mask": "1"}},
    "half a character": {"split": "\ud800"},
}


@pytest.mark.parametrize("change", RECORD_CHANGES)
def test_a_record_with_other_fields_or_types_is_named(dataset: Path, change: str) -> None:
    path = dataset / "units/000000-d00.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **RECORD_CHANGES[change]}))
    assert "units/000000-d00.json" in {problem.file for problem in find_problems(dataset)}


@pytest.mark.parametrize("content", ["", "[]", "null", '{"unit": 0}', "[" * 100_000, "\ud83d"])
def test_a_record_or_manifest_that_is_no_such_json_is_named(dataset: Path, content: str) -> None:
    for name in ("units/000000-d00.json", "manifest.json"):
        (dataset / name).write_bytes(content.encode("utf-8", "surrogatepass"))
        assert any(name in line for line in problems(dataset))


def test_reformatting_the_manifest_is_found(dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    assert "manifest.json: damaged" in problems(dataset)[0]


@pytest.mark.parametrize("total", ["rows", "boxes_kept", "boxes_not_drawn", "photos", "photos_lost", "samples"])
def test_a_total_that_does_not_add_up_is_found(dataset: Path, total: str) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["totals"][total] += 1
    (dataset / "manifest.json").write_bytes(json_bytes(sign(manifest)))
    assert any(total in line for line in problems(dataset))


@pytest.mark.heavy
def test_an_index_that_disagrees_in_any_field_is_found_behind_sound_digests(dataset: Path) -> None:
    sign_chain(dataset)
    assert problems(dataset) == []
    untouched = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    for field in INDEX:
        name = change_index(dataset, lambda rows, field=field: rows[0].update({field.name: _other(rows[0], field)}))
        assert any(name in line and field.name in line for line in problems(dataset)), field.name
        for path, data in untouched.items():
            path.write_bytes(data)


@pytest.mark.heavy
@pytest.mark.parametrize("field", INDEX.names)
def test_a_null_in_an_index_is_found_behind_sound_digests(dataset: Path, field: str) -> None:
    name = change_index(dataset, lambda rows: rows[0].update({field: None}))
    assert any(name in line and field in line for line in problems(dataset))


def _other(row: dict[str, Any], field: pa.Field) -> Any:
    """Another value of the same type."""
    value = row[field.name]
    if field.name == "augmentation":
        return {**value, "flip": not value["flip"]}
    if field.name == "members":
        return value[:-1]
    if isinstance(value, list):
        return [value[0] + 1, *value[1:]]
    return f"{value}x" if isinstance(value, str) else value + 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.pop(), "rows"),
        (lambda rows: rows.reverse(), "disagree"),
        (lambda rows: rows.__setitem__(1, rows[0]), "already"),
    ],
)
def test_missing_shuffled_and_repeated_index_rows_are_found(
    dataset: Path, change: Callable[[list[dict[str, Any]]], object], told: str
) -> None:
    name = change_index(dataset, change)
    assert any(name in line and told in line for line in problems(dataset))


def tensors(**shapes: tuple[int, ...]) -> bytes:
    return safetensors.numpy.save({name: np.zeros(shape, np.float16) for name, shape in shapes.items()})


@pytest.mark.parametrize(
    ("ext", "content"),
    [
        ("safetensors", b"no tensors"),
        ("safetensors", tensors(latent=(4, 8, 8), masked_latent=(4, 8, 8))),
        ("safetensors", tensors(latent=(4, 8, 9), masked_latent=(4, 8, 8), exemplar=(64,))),
        ("exemplar.jpg", b"no picture"),
        ("exemplar.jpg", b""),
        ("exemplar.jpg", encode_jpeg(np.zeros((100, 224, 3), np.uint8))),
        ("source.jpg", encode_jpeg(np.zeros((65, 64, 3), np.uint8))),
        ("json", b"{"),
        ("json", b"[" * 100_000),
        ("json", b"[]"),
        ("json", b"{}"),
        ("png", b""),
    ],
)
def test_a_member_that_is_not_what_the_recipe_implies_is_found(dataset: Path, ext: str, content: bytes) -> None:
    name = rewrite_shard(dataset, lambda samples: next(iter(samples.values())).update({ext: content}))
    assert any(name in line and ext in line for line in problems(dataset))


@pytest.mark.parametrize(
    ("array", "value", "named"),
    [("latent", np.nan, "NaN"), ("masked_latent", np.inf, "inf"), ("exemplar", -np.inf, "inf")],
)
def test_a_number_that_is_not_finite_is_found_by_shard_sample_and_array(
    dataset: Path, array: str, value: float, named: str
) -> None:
    keys: list[str] = []

    def spoil(samples: dict[str, dict[str, bytes]]) -> None:
        key, members = list(samples.items())[1]
        arrays = safetensors.numpy.load(members["safetensors"])
        arrays[array].flat[-1] = value
        members["safetensors"] = safetensors.numpy.save(arrays)
        keys.append(key)

    shard = rewrite_shard(dataset, spoil)
    assert problems(dataset) == [f"{shard}: {keys[0]}: .safetensors: {array} holds {named}"]


@pytest.mark.parametrize("column", ["box", "mask_polygon"])
def test_a_number_of_an_index_that_is_not_finite_is_found(dataset: Path, column: str) -> None:
    index = change_index(dataset, lambda rows: rows[0].update({column: [np.inf, *rows[0][column][1:]]}))
    found = problems(dataset)
    assert any(index in line and f"{column} holds a number that is not finite" in line for line in found)


def test_a_sample_without_a_member_is_found(dataset: Path) -> None:
    name = rewrite_shard(dataset, lambda samples: next(iter(samples.values())).pop("exemplar.jpg"))
    assert any(name in line and "exemplar.jpg" in line for line in problems(dataset))


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1PAR1"])
def test_files_that_no_reader_can_open_are_named_even_behind_sound_digests(dataset: Path, content: bytes) -> None:
    for pattern in ("shards/train/*.tar", "index/train/*.parquet", "drops/units/*.parquet", "drops/boxes-*.parquet"):
        victim = sorted(dataset.glob(pattern))[0]
        data = victim.read_bytes()
        victim.write_bytes(content)
        sign_chain(dataset)
        named = {problem.file for problem in find_problems(dataset)}
        unread = content == b"" and pattern.endswith(".tar")  # an empty file is an empty tar
        assert str(victim.relative_to(dataset)) in named or (unread and any("index/" in name for name in named))
        victim.write_bytes(data)


def test_a_table_of_another_schema_is_named(dataset: Path) -> None:
    for pattern in ("index/train/*.parquet", "drops/units/*.parquet", "drops/boxes-*.parquet"):
        victim = sorted(dataset.glob(pattern))[0]
        data = victim.read_bytes()
        pq.write_table(pa.table({"draw": [1]}), victim)
        sign_chain(dataset)
        assert any(str(victim.relative_to(dataset)) in line and "columns" in line for line in problems(dataset))
        victim.write_bytes(data)


def test_lost_and_repeated_box_drops_are_found(dataset: Path) -> None:
    path = dataset / "drops/boxes-00000.parquet"
    drops = pq.read_table(path)
    pq.write_table(drops.slice(1), path)
    sign_chain(dataset)
    assert any("drops/boxes-00000.parquet" in line and "manifest.json has" in line for line in problems(dataset))
    pq.write_table(pa.concat_tables([drops.slice(0, 1), drops.slice(0, len(drops) - 1)]), path)
    sign_chain(dataset)
    assert any("drops/boxes-00000.parquet" in line and "more than once" in line for line in problems(dataset))


def test_a_photo_that_is_sample_and_drop_of_one_draw_is_found(dataset: Path) -> None:
    image_id = pq.read_table(dataset / "index/train/000000-d00.parquet")["image_id"][0].as_py()
    drop = {"stage": "draw", "image_id": image_id, "box_id": 0, "draw": 0, "reason": "empty_mask", "detail": ""}
    pq.write_table(pa.Table.from_pylist([drop], schema=DROPS), dataset / "drops/units/000000-d00.parquet")
    sign_chain(dataset)
    assert any("is a sample or a drop of this draw already" in line for line in problems(dataset))
