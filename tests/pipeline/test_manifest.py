import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.job import Prepared
from pipeline.manifest import read_manifest, verify_unit, verify_whole
from pipeline.storage import Folder
from schemas.shards import UnitRecord

Make = Callable[..., Prepared]


def problems(dataset: Path) -> list[str]:
    out = Folder(str(dataset))
    manifest = read_manifest(out)
    checked = [verify_unit(out, name, recipe_digest=manifest["recipe_digest"]) for name in out.names("units")]
    records: list[UnitRecord] = [record for record, _ in checked if record]
    return [line for _, lines in checked for line in lines] + verify_whole(out, manifest, records)


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dataset")


@pytest.fixture
def dataset(make: Make, _shared: Path, tmp_path: Path) -> Path:
    """A sound dataset of one's own to break."""
    if not (_shared / "manifest.json").exists():
        make(_shared)
    return Path(shutil.copytree(_shared, tmp_path / "copy"))


def test_a_sound_dataset_has_no_problems(dataset: Path) -> None:
    assert problems(dataset) == []


@pytest.mark.parametrize("pattern", ["shards/*/*.tar", "index/*/*.parquet", "drops/units/*.parquet"])
def test_a_changed_byte_is_found_and_its_file_named(dataset: Path, pattern: str) -> None:
    victim = sorted(dataset.glob(pattern))[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    found = problems(dataset)
    assert any(str(victim.relative_to(dataset)) in line and "sha256" in line for line in found)


@pytest.mark.parametrize("pattern", ["shards/*/*.tar", "index/*/*.parquet", "drops/units/*.parquet", "units/*.json"])
def test_a_missing_file_is_found_and_named(dataset: Path, pattern: str) -> None:
    victim = sorted(dataset.glob(pattern))[0]
    victim.unlink()
    assert any(str(victim.relative_to(dataset)) in line for line in problems(dataset))


def test_a_file_that_no_record_tells_of_is_found(dataset: Path) -> None:
    stranger = dataset / "shards/train/000099-d00.tar"
    stranger.write_bytes(b"")
    assert problems(dataset) == ["shards/train/000099-d00.tar: no record tells of it"]


def test_an_altered_record_is_found(dataset: Path) -> None:
    victim = sorted(dataset.glob("units/*.json"))[0]
    record = json.loads(victim.read_text())
    victim.write_text(json.dumps({**record, "samples": record["samples"] + 1}))
    assert any("samples" in line for line in problems(dataset))


def test_an_altered_total_is_found(dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["totals"]["boxes_kept"] += 1
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    assert any("boxes_kept" in line for line in problems(dataset))


def test_lost_box_drops_are_found(dataset: Path) -> None:
    path = dataset / "drops/boxes-00000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    assert any("drops/boxes" in line for line in problems(dataset))


def test_another_schema_version_is_explained(dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    (dataset / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99, this code reads 1"):
        read_manifest(Folder(str(dataset)))


def test_an_unfinished_dataset_is_told_apart(dataset: Path) -> None:
    (dataset / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"run the same shard_openimages\.py command again"):
        read_manifest(Folder(str(dataset)))


def test_the_manifest_holds_no_path_clock_or_host(dataset: Path) -> None:
    for name in ("manifest.json", "card.md"):
        text = (dataset / name).read_text()
        assert "/tmp" not in text
        assert str(dataset.parent) not in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 now"),
        ({"filters": ("clean",)}, "filters"),
        ({"resolution": 128}, "resolution: 64 there, 128 now"),
        ({"photos_per_unit": 2}, "photos_per_unit"),
        ({"dtype": "bfloat16"}, "vae"),
    ],
)
def test_another_recipe_on_the_same_output_is_refused_with_the_difference(
    make: Make, dataset: Path, change: dict[str, object], named: str
) -> None:
    with pytest.raises(InputError) as refusal:
        make(dataset, **change)
    assert named in str(refusal.value)
    assert "--overwrite" in str(refusal.value)
    assert problems(dataset) == []


def test_another_table_on_the_same_output_is_refused(
    make: Make, sample_folder: Path, dataset: Path, tmp_path: Path
) -> None:
    table = tmp_path / "boxes.csv"
    lines = (sample_folder / "train-annotations-bbox.csv").read_text().splitlines()
    table.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="inputs"):
        make(dataset, boxes=(str(table),))
    assert problems(dataset) == []


def test_fewer_draws_than_there_are_is_refused(make: Make, dataset: Path) -> None:
    with pytest.raises(InputError, match=r"--draws 1: .* already holds 2"):
        make(dataset, draws=1)


@pytest.mark.parametrize("name", ["shards.parquet", "drops/boxes-00000.parquet"])
def test_a_damaged_or_missing_table_is_a_problem_not_a_crash(dataset: Path, name: str) -> None:
    (dataset / name).write_bytes(b"no parquet")
    assert any(name in line for line in problems(dataset))
    (dataset / name).unlink()
    assert f"{name}: missing" in problems(dataset)


def test_overwrite_with_a_mistake_removes_nothing(make: Make, dataset: Path) -> None:
    for mistake in ({"filters": ("big",)}, {"vae": "/none"}, {"boxes": ("/none.csv",)}):
        with pytest.raises(InputError):
            make(dataset, overwrite=True, **mistake)
        assert problems(dataset) == []


def test_overwrite_starts_anew(make: Make, dataset: Path) -> None:
    make(dataset, seed=1, overwrite=True)
    assert problems(dataset) == []
    assert json.loads((dataset / "manifest.json").read_text())["recipe"]["seed"] == 1
