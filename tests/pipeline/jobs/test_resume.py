"""What a second run looks at, keeps and refuses, without Ray."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pbe.feed.dataset import open_dataset
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.facts import facts_of
from pipeline.encoders.vae import VaeEncoder
from pipeline.errors import InputError, LockLostError
from pipeline.jobs import preparation
from pipeline.jobs.inputs import check_inputs
from pipeline.jobs.preparation import PreparedJob, clear_leftovers, pending_tasks, prepare
from pipeline.planning.plan_files import PLAN
from pipeline.shards.manifest import finish_dataset
from pipeline.shards.recipe import digest_of
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.units.maker import UnitMaker
from pipeline.units.one_shard import OutputTakenError
from schemas.shards import json_bytes, record_path, unit_name
from tests.benchmarks.resume import start_job, write_photos
from tests.object_storage import Proxy
from tests.pipeline.conftest import files_of, problems

Make = Callable[..., PreparedJob]


def test_a_start_over_finished_work_opens_no_record_and_no_shard(tmp_path: Path) -> None:
    config = replace(write_photos(tmp_path, 50), out=str(tmp_path / "d"))
    start_job(config)
    for unit in range(49):  # what no reader could make sense of
        Folder(config.out).write(f"units/{unit_name(unit, 0)}.json", b"\x00")
        Folder(config.out).write(f"shards/train/{unit_name(unit, 0)}.tar", b"\x00")
    tasks, done = pending_tasks(start_job(config))
    assert done == 49
    assert [task.unit for task in tasks] == [49]


def test_on_object_storage_a_start_lists_once_a_thousand_records(tmp_path: Path, s3: Proxy) -> None:
    config = replace(write_photos(tmp_path, 2500), out="s3://bucket/d")
    start_job(config)
    s3.fill((f"d/units/{unit_name(unit, 0)}.json" for unit in range(2500)), b"\x00")
    s3.requests.clear()
    tasks, done = pending_tasks(start_job(config))
    assert (len(tasks), done) == (0, 2500)
    lists = [path for method, path in s3.requests if method == "GET" and "list-type=2" in path]
    assert len(lists) == 3, lists
    assert len(s3.requests) < 20
    assert not any("units/0" in path for _, path in s3.requests)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"filters": ("clean",)}, {"resolution": 128}, {"photos_per_unit": 2}, {"limit": 3}]
)
def test_another_recipe_is_refused_naming_the_difference(make: Make, tmp_path: Path, change: dict[str, object]) -> None:
    make(tmp_path / "d", finish=False, draws=1)
    with pytest.raises(InputError, match=next(iter(change))) as refusal:
        make(tmp_path / "d", draws=1, **change)
    assert "there" in str(refusal.value) and "now" in str(refusal.value)


def test_another_library_version_is_refused_naming_both(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make(tmp_path / "d", finish=False, draws=1)
    recipe = {**job.recipe, "libraries": {**job.recipe["libraries"], "numpy": "1.0"}}
    job.out.write_json("run/recipe.json", recipe)
    with pytest.raises(InputError, match=r"libraries: .*there, .*now"):
        make(tmp_path / "d", draws=1)


@pytest.mark.parametrize(
    ("began", "named"), [(None, "rules 1, this version's are 2"), (3, "rules 3, this version's are 2")]
)
@pytest.mark.parametrize("draws", [1, 2])
def test_work_of_other_rules_is_neither_finished_nor_added_to(
    make: Make, tmp_path: Path, began: int | None, named: str, draws: int
) -> None:
    job = make(tmp_path / "d", finish=False, draws=1)
    job.out.remove("units/000001-d00.json")
    others = {name: value for name, value in job.recipe.items() if name != "rules"}
    job.out.write_json("run/recipe.json", others if began is None else {**others, "rules": began})
    before = files_of(tmp_path / "d")
    with pytest.raises(InputError, match=named):
        make(tmp_path / "d", draws=draws)
    assert files_of(tmp_path / "d") == before


def test_a_dataset_of_the_first_rules_is_still_read(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make(tmp_path / "d", draws=1)
    recipe = {name: value for name, value in job.recipe.items() if name != "rules"}
    records = [replace(record, recipe_digest=digest_of(recipe)) for record in read_records(job.out)]
    for record in records:
        job.out.write(record_path(record.unit, record.draw), json_bytes(record.to_json()))
    finish_dataset(job.out, records, recipe=recipe, plan=job.plan, draws=1, names=job.names)
    assert problems(tmp_path / "d") == []
    assert open_dataset(str(tmp_path / "d"), split="train").counts[0]


def test_a_plan_of_other_rules_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(write_photos(tmp_path, 5), out=str(tmp_path / "d"))
    monkeypatch.setattr(preparation, "RULES", 1)
    job = start_job(config)
    job.out.write_json(f"{PLAN}/plan.json", {**asdict(job.plan), "rows": 99})
    assert start_job(config).plan.rows == 99
    monkeypatch.undo()
    assert start_job(config).plan == job.plan


def test_overwrite_goes_on_with_work_of_the_same_recipe(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "d", finish=False)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "d/shards").rglob("*.tar")}
    make(tmp_path / "d", overwrite=True)
    assert before
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_output_with_fewer_draws_than_its_preset_gets_more_and_is_told_by_which_flag_it_would_not(
    make: Make, tmp_path: Path, vae: VaeEncoder, clip: ClipEncoder
) -> None:
    config = make(tmp_path / "d", draws=1, limit=1).config
    said: list[str] = []

    def draws_after(*, last_run: int | None, given: bool = False) -> int:
        said.clear()
        if last_run:
            (tmp_path / "d/run/config.json").write_text(json.dumps({"draws": last_run}))
        told = {"say": said.append, "progress": lambda rows: None, "draws_given": given, "device": "cpu"}
        checked = check_inputs(replace(config, draws=2))
        return prepare(checked, Folder(config.out), encoders=facts_of(vae, clip), **told).config.draws

    told = "begun with 1 draws, the preset makes 2; --draws 1 adds none"
    for last_run in (None, 1):
        assert draws_after(last_run=last_run) == 2 and any(told in line for line in said)
    assert draws_after(last_run=2) == 2 and not any("begun with" in line for line in said)  # killed while it made 2
    assert draws_after(last_run=1, given=True) == 2 and not any("begun with" in line for line in said)


def test_overwrite_starts_anew_with_fewer_draws(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "d", draws=2)
    make(tmp_path / "d", draws=1, overwrite=True)
    assert {path.stem[-3:] for path in (tmp_path / "d/units").iterdir()} == {"d00"}


def test_the_recipe_is_known_from_the_manifest_where_run_was_not_kept(make: Make, tmp_path: Path) -> None:
    job = make(tmp_path / "d", draws=1)
    job.out.remove("run")
    with pytest.raises(InputError, match="seed: 0 there, 1 now"):
        make(tmp_path / "d", draws=1, seed=1)
    assert make(tmp_path / "d", draws=2).plan == job.plan


def test_a_plan_that_was_not_finished_is_not_taken_up(make: Make, tmp_path: Path) -> None:
    job = make(tmp_path / "d", finish=False)
    job.out.delete(f"{PLAN}/key")
    job.out.remove(f"{PLAN}/units.parquet")
    assert make(tmp_path / "d").plan == job.plan


def test_a_finished_unit_is_never_written_again(make: Make, tmp_path: Path, maker_of: Callable[..., UnitMaker]) -> None:
    job = make(tmp_path / "d", draws=1, finish=False)
    task = pending_tasks(replace(job, finished=frozenset()))[0][0]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob(f"{unit_name(task.unit, 0)}*")}
    records, _ = maker_of(job).make(task)  # another machine that took the unit for its own
    assert records[0].samples > 0
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_job_whose_output_another_recipe_took_over_writes_no_more(
    make: Make, tmp_path: Path, maker_of: Callable[..., UnitMaker]
) -> None:
    job = make(tmp_path / "d", draws=1, finish=False)
    make(tmp_path / "d", draws=1, seed=1, overwrite=True, finish=False)
    job.out.remove("units")
    job.out.remove("shards")
    with pytest.raises(OutputTakenError, match="another recipe"):
        maker_of(job).make(pending_tasks(replace(job, finished=frozenset()))[0][0])
    assert not (tmp_path / "d/shards").exists()


def test_a_job_that_lost_its_output_removes_and_writes_nothing(make: Make, tmp_path: Path) -> None:
    job = make(tmp_path / "d", draws=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob("*") if path.is_file()}

    def lost() -> None:
        raise LockLostError("taken over")

    out = replace(job.out, guard=lost)
    for change in (
        lambda: out.write("manifest.json", b""),
        lambda: out.create("units/new.json", b""),
        lambda: out.delete("manifest.json"),
        lambda: out.remove("shards"),
    ):
        with pytest.raises(LockLostError):
            change()
    with pytest.raises(LockLostError):
        clear_leftovers(out)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_a_killed_overwrite_left_is_gone_in_the_end(make: Make, tmp_path: Path) -> None:
    old = make(tmp_path / "d", draws=2)
    for name in ("units", "manifest.json", "run/plan/key"):  # removed so far, when it was killed
        old.out.remove(name)
    make(tmp_path / "d", draws=1, limit=3, overwrite=True)
    make(tmp_path / "whole", draws=1, limit=3)

    def names(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "run"}

    assert names(tmp_path / "d") == names(tmp_path / "whole")


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["recipe.json", "plan/plan.json", "plan/units.parquet"])
def test_a_file_of_run_that_was_cut_short_or_lost_is_made_anew(make: Make, tmp_path: Path, name: str) -> None:
    job = make(tmp_path / "d", draws=1)
    if name == "plan/units.parquet":
        job.out.delete(f"run/{name}")
    else:
        job.out.write(f"run/{name}", b'{"cut')
    assert make(tmp_path / "d", draws=2).plan == job.plan


@pytest.mark.parametrize("linked", ["shards", "drops", "run"])
def test_overwrite_removes_nothing_where_a_link_leads(make: Make, tmp_path: Path, linked: str) -> None:
    make(tmp_path / "d", draws=1)
    (tmp_path / "d" / linked).rename(tmp_path / "bigger_disk")
    (tmp_path / "d" / linked).symlink_to(tmp_path / "bigger_disk")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    with pytest.raises(InputError, match=rf"d/{linked}.*leads to .*bigger_disk.*outside of"):
        make(tmp_path / "d", draws=1, seed=5, overwrite=True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_job_fills_a_folder_that_is_a_link_and_goes_on_there(make: Make, tmp_path: Path) -> None:
    for folder in ("d", "bigger_disk"):
        (tmp_path / folder).mkdir()
    (tmp_path / "d/shards").symlink_to(tmp_path / "bigger_disk")
    make(tmp_path / "d", draws=1, finish=False)
    job = make(tmp_path / "d", draws=2)
    assert (tmp_path / "d/shards").is_symlink()
    assert len(list((tmp_path / "bigger_disk").rglob("*.tar"))) == 2 * job.plan.units
