"""Photos that were lost and came back: what --retry-drops makes of them, wherever it is killed."""

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import ShardConfig
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.facts import facts_of
from pipeline.encoders.vae import VaeEncoder
from pipeline.errors import InputError
from pipeline.jobs import run
from pipeline.jobs.preparation import PreparedJob, pending_tasks
from pipeline.shards.retry_intent import RETRY, read_intent
from pipeline.storage import retries
from pipeline.storage.folder import Folder
from pipeline.units.one_shard import OutputTakenError
from pipeline.verification.dataset import list_files
from schemas.shards import record_path
from tests.object_storage import Proxy
from tests.pipeline.conftest import files_of, problems
from tests.pipeline.jobs.killed_runs import HereWorkshop, MakerOf, run_until
from tests.pipeline.overloaded import photos_served
from tests.tagged import read_index

Make = Callable[..., PreparedJob]
Jpeg = Callable[..., bytes]
IDS = "abcdef"


@dataclass(frozen=True)
class Story:
    """Six photos in three units. At first one is missing, one of another unit is cut short, and one is never there.

    Args:
        config: of the job that made the first dataset.
        photos: the folder in which all but the last have come back.
        whole: the datasets of a job that had these photos from the start, by draws.
        missing, beside: a unit.
        cut, gone: another.
    """

    config: ShardConfig
    photos: Path
    whole: dict[int, dict[str, bytes]]
    missing: str
    beside: str
    cut: str
    gone: str

    def begin(self, out: Path, **changes: Any) -> ShardConfig:
        """Copy the first dataset, for a job that finds the photos there."""
        shutil.copytree(self.config.out, out)
        return replace(self.config, out=str(out), **{"images": (str(self.photos),), **changes})


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in files_of(out)}


@pytest.fixture(scope="module")
def workshop(maker_of: MakerOf, vae: VaeEncoder, clip: ClipEncoder) -> HereWorkshop:
    return HereWorkshop(maker_of, facts_of(vae, clip))


@pytest.fixture(scope="module")
def story(make: Make, jpeg: Jpeg, tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("story")
    photos, early = root / "photos", root / "early"
    photos.mkdir()
    for number, name in enumerate(IDS):
        (photos / f"{name}.jpg").write_bytes(jpeg((96 + number, 64)))
    rows = "".join(f"{name},/m/{side},0.2,0.{side},0.2,0.8\n" for name in IDS for side in (7, 8))
    (root / "boxes.csv").write_text("ImageID,LabelName,XMin,XMax,YMin,YMax\n" + rows)
    flags = {"boxes": (str(root / "boxes.csv"),), "image_info": (), "classes": "", "photos_per_unit": 2}
    flags |= {"split_shares": (1.0, 0.0, 0.0), "max_photo_failures": 1.0, "keep_source": False}
    make(root / "order", images=(str(photos),), draws=1, **flags)
    names = [row["image_id"] for row in sorted(read_index(root / "order"), key=lambda row: row["unit"])]
    missing, beside, cut, gone = names[:4]
    (photos / f"{gone}.jpg").unlink()
    whole = {}
    for draws in (2, 3):
        make(root / f"whole{draws}", images=(str(photos),), draws=draws, **flags)
        whole[draws] = contents(root / f"whole{draws}")
    shutil.copytree(photos, early)
    (early / f"{missing}.jpg").unlink()
    (early / f"{cut}.jpg").write_bytes((photos / f"{cut}.jpg").read_bytes()[:-200])
    config = make(root / "before", images=(str(early),), **flags).config
    return Story(config, photos, whole, missing, beside, cut, gone)


def finish(make: Make, config: ShardConfig, **changes: Any) -> dict[str, bytes]:
    """Run the same command again, without pictures."""
    make(**{**vars(config), **changes})
    return contents(Path(config.out))


def test_photos_that_came_back_are_as_if_they_had_been_there_from_the_start(
    make: Make, story: Story, tmp_path: Path
) -> None:
    before = contents(Path(story.config.out))
    config = story.begin(tmp_path / "d")
    assert finish(make, config) == before  # a plain run changes nothing
    assert finish(make, config, retry_drops=True) == story.whole[2]
    assert finish(make, config, retry_drops=True) == story.whole[2]
    assert problems(tmp_path / "d") == []


def test_a_complete_dataset_says_what_was_lost_and_the_flag(
    story: Story, workshop: HereWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = story.begin(tmp_path / "d")
    for record in (tmp_path / "d/units").iterdir():  # the manifest alone knows
        record.write_bytes(b"")
    _, end = run_until(config, workshop)
    assert end and end.code == 0
    said = capsys.readouterr().out
    assert "nothing to do" in said and "photos lost: 3 (missing 2, truncated 1); --retry-drops" in said


def test_a_retry_says_what_came_back_and_what_is_still_lost(
    make: Make, story: Story, workshop: HereWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = story.begin(tmp_path / "d", retry_drops=True)
    run_until(config, workshop, steps=10)
    said = capsys.readouterr().out
    assert "--retry-drops: lost photos read again: 3, can be used now: 2; still lost: missing 1" in said


@pytest.mark.heavy
def test_units_that_a_retry_makes_anew_are_judged_at_its_end_alone(
    story: Story, workshop: HereWorkshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "JUDGED_PHOTOS", 2)
    _, end = run_until(story.begin(tmp_path / "d", retry_drops=True, max_photo_failures=0.2), workshop)
    assert end and end.code == 0


@pytest.mark.heavy
def test_a_retry_killed_between_any_two_steps_ends_with_the_same_bytes_also_with_more_draws(
    make: Make, story: Story, workshop: HereWorkshop, tmp_path: Path
) -> None:
    before = contents(Path(story.config.out))
    for steps, draws in zip(count(), cycle((2, 3))):
        config = story.begin(tmp_path / str(steps), retry_drops=True)
        taken, _ = run_until(config, workshop, steps=steps)
        if taken.count(f"publish {RETRY}") == 3:
            break
        plain = finish(make, config, retry_drops=False, draws=draws)
        if f"publish {RETRY}" in taken:
            assert plain == story.whole[draws], taken
        else:
            assert draws == 3 or plain == before, taken
            assert finish(make, config, draws=draws) == story.whole[draws], taken
        assert not read_intent(Folder(config.out)).units
    draws_removed = [step[-8:-5] for step in taken if step.startswith("delete units/")]
    assert draws_removed == ["d01", "d01", "d00", "d00"]
    assert taken[:2] == ["delete manifest.json", f"publish {RETRY}"] and taken[-1] == f"publish {RETRY}"
    assert not (tmp_path / str(steps) / "manifest.json").exists()  # the intent is closed before it is written
    assert finish(make, config, retry_drops=False)["shards.parquet"] == story.whole[2]["shards.parquet"]


def test_a_retry_on_object_storage_killed_again_and_again_ends_with_the_same_bytes(
    make: Make, story: Story, workshop: HereWorkshop, s3: Proxy
) -> None:
    out = Folder("s3://bucket/d")
    for path in Path(story.config.out).rglob("*.*"):
        out.write(str(path.relative_to(story.config.out)), path.read_bytes())
    config = replace(story.config, out=out.url, images=(str(story.photos),), retry_drops=True)
    steps: list[str] = []
    while f"create {record_path(1, 0)}" not in steps:
        steps += run_until(config, workshop, steps=3)[0]
    assert steps.count(f"publish {RETRY}") == 2
    make(**{**vars(config), "retry_drops": False})
    assert {name: out.read(name) for name in story.whole[2]} == story.whole[2]
    assert list_files(out).keys() == story.whole[2].keys()


def test_a_writer_that_began_before_a_retry_is_refused(
    make: Make, story: Story, workshop: HereWorkshop, maker_of: MakerOf, tmp_path: Path
) -> None:
    config = story.begin(tmp_path / "d", retry_drops=True)
    zombie = make(**{**vars(config), "retry_drops": False})  # and now its driver dies
    run_until(config, workshop, steps=7)
    assert not zombie.out.names("units")[2:]
    for task in pending_tasks(replace(zombie, finished=frozenset()))[0][:2]:
        with pytest.raises(OutputTakenError, match="generation 1 since --retry-drops, this job is of 0"):
            maker_of(zombie).make(task)
    assert finish(make, config) == story.whole[2]


def test_draws_that_a_retry_removed_still_count_where_the_user_names_none(
    make: Make, story: Story, workshop: HereWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = story.begin(tmp_path / "d", retry_drops=True, draws=3)
    make(**{**vars(config), "retry_drops": False})
    run_until(config, workshop, steps=8)
    Folder(config.out).remove("units")  # as if all units had lost photos
    run_until(replace(config, draws=1), workshop, steps=3, draws_given=False)
    assert "going on with the 3 draws that the output has" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"--draws 2: .* already holds 3"):
        make(**{**vars(config), "draws": 2})
    assert finish(make, config) == story.whole[3]


def test_a_dataset_in_the_middle_of_a_retry_says_so(story: Story, workshop: HereWorkshop, tmp_path: Path) -> None:
    run_until(story.begin(tmp_path / "d", retry_drops=True), workshop, steps=9)
    [said] = problems(tmp_path / "d")
    assert "no manifest.json; --retry-drops has begun to make units anew (2): run the command" in said


def test_a_job_does_not_finish_a_dataset_whose_draws_lost_other_photos(
    story: Story, workshop: HereWorkshop, tmp_path: Path
) -> None:
    config = story.begin(tmp_path / "d")
    (tmp_path / "d/manifest.json").unlink()
    for name, content in story.whole[2].items():
        if "-d01." in name:  # as if by a job that ran beside this one and found the photos there
            (tmp_path / "d" / name).write_bytes(content)
    named = "remove units/000000-d00.json units/000000-d01.json, and likewise those of 1 more"
    with pytest.raises(InputError, match=f"draws of unit 0 did not lose the same photos; {named}"):
        run_until(config, workshop)


def test_a_photo_that_came_back_twice_is_refused_where_the_two_differ(make: Make, story: Story, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(story.photos, tmp_path / "photos"))
    (photos / f"{story.missing}.png").write_bytes((photos / f"{story.missing}.jpg").read_bytes()[:99])
    config = story.begin(tmp_path / "d", images=(str(photos),), retry_drops=True)
    with pytest.raises(InputError, match=f"1 photos lie in several places .*: {story.missing} in .*.png .99 bytes"):
        finish(make, config)
    (photos / f"{story.missing}.png").unlink()
    assert finish(make, config) == story.whole[2]


OBSTACLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (lambda photo: photo.unlink(), "missing"),
    "another": (lambda photo: photo.write_bytes(photo.read_bytes() + b"0"), "other bytes"),
    "cut": (lambda photo: photo.write_bytes(b"<html>"), "other bytes"),
}


@pytest.mark.parametrize("what", OBSTACLES)
def test_a_unit_that_would_lose_a_photo_stays_and_is_named(
    make: Make, story: Story, workshop: HereWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    photos = Path(shutil.copytree(story.photos, tmp_path / "photos"))
    change, said = OBSTACLES[what]
    change(photos / f"{story.beside}.jpg")
    config = story.begin(tmp_path / "d", images=(str(photos),), retry_drops=True)
    taken, _ = run_until(config, workshop, steps=7)
    stays = next(row["unit"] for row in read_index(tmp_path / "d") if row["image_id"] == story.beside)
    message = f"unit {stays} stays as it is, without photo {story.missing}: its photo {story.beside} is not what it was"
    assert f"{message} ({said})" in capsys.readouterr().out
    assert not any(f"{stays:06d}-" in step for step in taken)
    kept = contents(tmp_path / "d")
    assert len([name for name in kept if f"{stays:06d}-" in name]) == 8
    before = contents(Path(story.config.out))
    assert all(before[name] == data for name, data in kept.items() if f"{stays:06d}-" in name)


def test_photos_that_a_tar_file_lacked_come_back_with_the_tar_file_that_has_them(
    make: Make, story: Story, tmp_path: Path
) -> None:
    early, photos = Path(story.config.images[0]), tmp_path / "photos.tar"
    inputs = {**vars(story.config), "images": (str(photos),), "out": str(tmp_path / "d")}
    for folder, retry_drops in ((early, False), (story.photos, True)):
        with tarfile.open(photos, "w") as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name)
        make(**{**inputs, "retry_drops": retry_drops})
    assert contents(tmp_path / "d") == story.whole[2]


def test_a_photo_that_gave_no_sample_must_still_be_one_that_can_be_used(
    make: Make, jpeg: Jpeg, workshop: HereWorkshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "small.jpg").write_bytes(jpeg((40, 40)))  # its box is too small
    rows = "".join(f"{name},/m/a,0.2,0.8,0.2,0.8\n" for name in ("back", "small"))
    (tmp_path / "boxes.csv").write_text("ImageID,LabelName,XMin,XMax,YMin,YMax\n" + rows)
    flags = {"boxes": (str(tmp_path / "boxes.csv"),), "images": (str(photos),), "image_info": (), "classes": ""}
    flags |= {"draws": 1, "min_box_px": 30, "split_shares": (1.0, 0.0, 0.0), "max_photo_failures": 1.0}
    config = make(tmp_path / "d", **flags).config
    before = contents(tmp_path / "d")
    (photos / "back.jpg").write_bytes(jpeg((96, 64)))
    small = (photos / "small.jpg").read_bytes()
    (photos / "small.jpg").write_bytes(b"")
    run_until(replace(config, retry_drops=True), workshop, steps=1)
    assert (
        "unit 0 stays as it is, without photo back: its photo small is not what it was (empty"
        in capsys.readouterr().out
    )
    assert contents(tmp_path / "d") == before
    (photos / "small.jpg").write_bytes(small)
    make(tmp_path / "d", retry_drops=True, **flags)
    assert [row["image_id"] for row in read_index(tmp_path / "d")] == ["back"]


def test_a_fault_of_storage_is_no_verdict_and_changes_nothing(
    story: Story, workshop: HereWorkshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    config = story.begin(tmp_path / "d", retry_drops=True)
    with photos_served(story.photos, overloaded=f"{story.cut}.jpg") as url, pytest.raises(retries.StorageError):
        run_until(replace(config, images=(url,)), workshop)
    assert contents(tmp_path / "d") == contents(Path(story.config.out))
    assert read_intent(Folder(config.out)).generation == 0


def test_another_recipe_is_refused_in_the_middle_of_a_retry_also_where_no_record_is_left(
    make: Make, story: Story, workshop: HereWorkshop, tmp_path: Path
) -> None:
    config = story.begin(tmp_path / "d", retry_drops=True)
    run_until(config, workshop, steps=7)
    Folder(config.out).remove("units")
    with pytest.raises(InputError, match="seed: 0 there, 1 now"):
        make(**{**vars(config), "seed": 1})
    job = make(**{**vars(config), "seed": 1, "overwrite": True})
    assert job.intent.units == () and job.intent.generation == 1
