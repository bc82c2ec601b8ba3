import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from tests.pipeline.conftest import problems
from tests.tagged import read_index, write_tagged

Make = Callable[..., PreparedJob]


def test_a_damaged_record_is_refused_when_a_dataset_is_finished(make: Make, dataset: Path) -> None:
    (dataset / "units/000000-d00.json").write_text("{}")
    with pytest.raises(InputError, match=r"units/000000-d00\.json: unreadable .* remove it and run the same command"):
        make(dataset)


def test_an_earlier_and_a_later_schema_version_are_explained(dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    (dataset / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(InputError, match=r"schema version 99, this code reads 2 and 3: .* a later version; upgrade"):
        read_manifest(Folder(str(dataset)))
    (dataset / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 1}))
    with pytest.raises(InputError, match=r"version 1, this code reads 2 and 3: .* an earlier version; make it anew"):
        read_manifest(Folder(str(dataset)))


def test_an_unfinished_dataset_is_told_apart(dataset: Path) -> None:
    (dataset / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"run the command that makes it again"):
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
        ({"dtype": "bfloat16"}, "dtype"),
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


def test_overwrite_with_a_mistake_removes_nothing(make: Make, dataset: Path, tmp_path: Path) -> None:
    write_tagged(tmp_path / "other.csv", [{**read_index(dataset)[0], "box_source": [0.0, 0.0, 1.0, 1.0]}])
    denials = ({"deny": "/none.csv"}, {"deny": str(tmp_path / "other.csv")})
    for mistake in ({"filters": ("big",)}, {"vae": "/none"}, {"boxes": ("/none.csv",)}, *denials):
        with pytest.raises(InputError):
            make(dataset, overwrite=True, **mistake)
        assert problems(dataset) == []


def test_overwrite_starts_anew(make: Make, dataset: Path) -> None:
    make(dataset, seed=1, overwrite=True)
    assert problems(dataset) == []
    assert json.loads((dataset / "manifest.json").read_text())["recipe"]["seed"] == 1
