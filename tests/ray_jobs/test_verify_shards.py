import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.jobs.preparation import PreparedJob
from pipeline.storage.folder import Folder
from ray_jobs.verifying import choose_units, verify_shards
from schemas.shards import UnitRecord
from tests.pipeline.conftest import change_byte, files_of, finish_with_pictures, problems
from tests.ray_jobs.conftest import Run

SMALL = ("--resolution", "64", "--encoders", "1")


def test_doing_what_verify_advises_repairs_the_dataset(
    drive: Run, make: Callable[..., PreparedJob], sample_folder: Path, tmp_path: Path
) -> None:
    dataset = tmp_path / "d"
    finish_with_pictures(make(dataset, finish=False))
    sound = {name: (dataset / name).read_bytes() for name in files_of(dataset)}
    damaged = ["shards/train/000000-d01.tar", "drops/boxes-00000.parquet", "card.md"]
    for name in damaged:
        change_byte(dataset / name, 0.5, 0)
    (dataset / "units/000001-d00.json").write_bytes(b"{")
    (dataset / "index/stray.parquet").write_bytes(b"")

    told = drive("verify_shards.py", dataset)
    assert told.returncode == 1 and "Traceback" not in told.stdout + told.stderr
    assert all(name in told.stdout for name in (*damaged, "units/000001-d00.json", "index/stray.parquet"))
    advice = re.search(r"to fix: remove (.*), then run the command that made it again", told.stdout)
    for name in advice[1].split():
        Folder(str(dataset)).remove(name)

    inputs = ("--boxes", sample_folder / "train-annotations-bbox.csv", "--images", sample_folder / "train")
    more = ("--image-info", sample_folder / "train-images-boxable-with-rotation.csv")
    names = ("--classes", sample_folder / "class-descriptions-boxable.csv")
    small = ("--out", dataset, *SMALL)
    done = drive("shard_openimages.py", "smoke", *inputs, *more, *names, *small)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 unit draws finished, 2 to make" in done.stdout
    assert problems(dataset) == []
    assert {name: (dataset / name).read_bytes() for name in files_of(dataset)} == sound


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_missing_or_damaged_manifest_is_told_without_starting_ray(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "card.md").write_text("left over")
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    assert verify_shards([str(tmp_path)]) == 1
    assert "manifest.json" in capsys.readouterr().out


def test_a_fraction_chooses_whole_units_and_at_least_one(record: Callable[..., UnitRecord]) -> None:
    records = [record(unit, draw) for unit in range(40) for draw in range(3)]
    assert [len(choose_units(records, fraction)) for fraction in (1, 0.25, 0.0001)] == [40, 10, 1]
    assert all(len(unit) == 3 for unit in choose_units(records, 0.25))
    assert choose_units(records, 0.25) == choose_units(records, 0.25)
    assert choose_units([], 0.5) == []


@pytest.fixture
def record() -> Callable[..., UnitRecord]:
    """Make the record of a unit and draw without a sample."""

    def make_record(unit: int, draw: int) -> UnitRecord:
        counts = dict.fromkeys(("photos", "photos_lost", "planned", "samples"), 0)
        boxes = dict.fromkeys(("boxes_kept", "boxes_drawn", "boxes_lost"), 0)
        digest = {"name": "", "bytes": 0, "sha256": ""}
        place = {"schema_version": 2, "recipe_digest": "", "unit": unit, "draw": draw, "split": "train"}
        files = {"shard": None, "index": None, "drops": digest}
        return UnitRecord.from_json({**place, **counts, **boxes, "dropped": {}, **files})

    return make_record
