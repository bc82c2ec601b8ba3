"""Kept boxes: the share that any number of draws takes is that of the plan's own draws, counted one by one."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.planning.plan_files import read_unit_boxes, read_units
from pipeline.planning.tasks import PlannedPhoto, group_photos
from pipeline.shards.card import card
from pipeline.shards.kept_boxes import TABLE_DRAWS, boxes_drawn, count_photos_by_boxes, share_drawn, share_table
from pipeline.shards.manifest import read_manifest
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from schemas.shards import json_bytes
from tests.pipeline.conftest import problems
from tests.pipeline.planning.test_plan import run
from tests.pipeline.verification.resigned import sign

Make = Callable[..., PreparedJob]


def planned_photos(out: Folder) -> list[PlannedPhoto]:
    units = read_units(out).to_pylist()
    return [
        photo
        for unit in units
        for photo in group_photos(read_unit_boxes(out, file=unit["file"], row_group=unit["row_group"]))
    ]


def drawn_one_by_one(photos: list[PlannedPhoto], draws: int) -> int:
    return len({(photo.image_id, photo.box_of(draw)["box_id"]) for photo in photos for draw in range(draws)})


@settings(max_examples=10)
@given(st.lists(st.integers(0, 45), min_size=1, max_size=12), st.sampled_from([0, 0, 3]))
def test_boxes_that_draws_take_are_those_of_the_plan_counted_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[int], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    sides = [("0.1", f"0.{500 + number}", "0.1", "0.9", "0") for number in range(45)]
    plan, _, _ = run(
        folder, [(f"{i:016x}", "/m/1", *sides[n]) for i, k in enumerate(boxes) for n in range(k)], limit=limit
    )
    out = Folder(str(folder / "out"))
    photos = planned_photos(out)
    counted = count_photos_by_boxes(out, [])
    assert sum(counted.values()) == len(photos) == plan.photos_planned
    assert boxes_drawn(counted, 10**9) == plan.boxes_planned
    for draws in TABLE_DRAWS:
        assert boxes_drawn(counted, draws) == drawn_one_by_one(photos, draws)


@pytest.fixture(scope="module")
def lossy(make: Make, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one draw, of which a photo with several boxes is lost."""
    folder = tmp_path_factory.mktemp("lossy")
    photos = Path(shutil.copytree(sample_folder / "train", folder / "photos"))
    with (sample_folder / "train-annotations-bbox.csv").open(newline="") as file:
        most = Counter(row["ImageID"] for row in csv.DictReader(file)).most_common(1)[0][0]
    (photos / f"{most}.jpg").unlink()
    make(folder / "d", images=(str(photos),), draws=1)
    return folder


def test_lost_photos_are_left_out_and_card_and_records_agree(lossy: Path) -> None:
    out = Folder(str(lossy / "d"))
    manifest = read_manifest(out)
    totals, photos = manifest["totals"], planned_photos(out)
    there = [photo for photo in photos if (lossy / f"photos/{photo.image_id}.jpg").exists()]
    kept = sum(len(photo.boxes) for photo in there)
    assert 0 < totals["photos_lost"] == len(photos) - len(there)
    for draws, share in share_table(totals).items():
        assert share == f"{1000 * drawn_one_by_one(there, draws) // kept / 10} %"
        assert f"| {draws} | {share} |" in out.read("card.md").decode()
    assert share_drawn(totals) == share_table(totals)[1] != "100.0 %"
    assert problems(lossy / "d") == []


@pytest.mark.parametrize("change", [{"1": 5}, {"2": 99}])
def test_photos_by_boxes_that_do_not_fit_the_records_are_found(
    lossy: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    d = Path(shutil.copytree(lossy / "d", tmp_path / "d"))
    manifest = read_manifest(Folder(str(d)))
    manifest["totals"]["photos_by_boxes"] |= change
    (d / "manifest.json").write_bytes(json_bytes(sign(manifest)))
    assert any("photos_by_boxes" in line for line in problems(d))


def test_a_dataset_of_an_earlier_version_is_sound_and_says_its_own_share_alone(lossy: Path, tmp_path: Path) -> None:
    d = Path(shutil.copytree(lossy / "d", tmp_path / "d"))
    manifest: dict[str, Any] = json.loads((d / "manifest.json").read_text())
    share = share_drawn(manifest["totals"])
    del manifest["totals"]["photos_by_boxes"]
    (d / "manifest.json").write_bytes(json_bytes(sign(manifest)))
    assert problems(d) == []
    assert share_table(manifest["totals"]) == {} and share_drawn(manifest["totals"]) == share
    assert f"{share} of the kept boxes" in card(manifest) and "draws | drawn" not in card(manifest)


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 8 : -12] = b"\xff" * (len(content) - 12 - len(content) // 8)
    path.write_bytes(content)


@pytest.mark.parametrize("fault", [Path.unlink, spoil, lambda path: path.write_bytes(b"PAR1")])
@pytest.mark.parametrize(("damaged", "told"), [("drops/units", "remove units/"), ("run/plan", "remove run/plan")])
def test_a_damaged_file_that_the_count_needs_is_named_with_what_to_remove(
    lossy: Path, tmp_path: Path, damaged: str, told: str, fault: Callable[[Path], object]
) -> None:
    d = Path(shutil.copytree(lossy / "d", tmp_path / "d"))
    out = Folder(str(d))
    records = read_records(out)
    for path in (d / damaged).glob("*0*.parquet"):
        fault(path)
    with pytest.raises(InputError, match=f"{damaged}/.*{told}"):
        count_photos_by_boxes(out, records)
