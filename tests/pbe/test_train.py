import json
import re
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pbe.edit import main as edit
from pbe.feed.dataset import open_dataset, sample_hole_sides
from pbe.training.run_folder import CHECKPOINTS, METRICS, read_rows
from pbe.weights.building import build_model, build_tower
from pbe.weights.hole_sides import summarise_hole_sides
from pbe.weights.reading import read_weights
from pipeline.encoders.clip import ClipEncoder
from pipeline.hints import look_line
from tests.conftest import SmallDisk
from tests.pbe.conftest import assert_same
from tests.pbe.training.rank_group import RankGroup
from tests.pbe.training.small_runs import ALL, exported, flags, log, losses, run, runs
from tests.pipeline.storage.odd_names import ALL_OF_IT
from tests.synthetic import write_synthetic

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("trainings")]  # one worker, which trains `whole` once

REPOSITORY = Path(__file__).parent.parent.parent
MAIN = "pbe.train.main"
OTHER_OBJECTIVE = ["--prediction", "v", "--min-snr", "5", "--hole-weight", "3", "--lr-schedule", "cosine"]
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of 35 and 36 samples in two draws, 9 of them in validation."""
    place = tmp_path_factory.mktemp("train") / ALL_OF_IT  # DeepSpeed looks for its files by globs
    write_synthetic(place / "data", [[9, 5, 14, 7], [8, 12, 3, 13]], side=8, dimension=16)
    return place


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    """The uninterrupted training, one rank, ZeRO 0, with a moving average."""
    assert run(place, flags(place, "whole", "--zero-stage", "0", "--ema", "0.9")) == [0]
    return place / "whole"


def assert_close(out: Path, whole: Path, *, steps: int) -> None:
    found, expected = losses(out), losses(whole)[:steps]
    assert [(step, batch) for step, _, batch in found] == [(step, batch) for step, _, batch in expected]
    assert [loss for _, loss, _ in found] == pytest.approx([loss for _, loss, _ in expected], abs=1e-5)


@pytest.mark.parametrize("stages", [(2, 3), pytest.param((0, 1, 2, 3), marks=pytest.mark.slow)], ids=str)
def test_stages_ranks_and_accumulation_give_the_same_losses_and_1_rank_takes_over_from_2(
    place: Path, whole: Path, stages: tuple[int, ...]
) -> None:
    more_runs = [(1, "2", (3,)), (2, "4", (2,))] if len(stages) > 2 else []
    for world, micro, chosen in ((2, "2", stages), *more_runs):
        runs = {f"z{stage}w{world}m{micro}": ("--zero-stage", str(stage)) for stage in chosen}
        more = ("--steps", "4", "--ema", "0.9", "--micro-batch", micro, "--export-weights", "raw")
        assert set(run(place, *(flags(place, out, *more, *stage) for out, stage in runs.items()), world=world)) == {0}
        for out in runs:
            assert_close(place / out, whole, steps=4)
    taken = {f"z{stage}w2m2": ("--zero-stage", str(stage), "--ema", "0.9") for stage in stages}
    assert run(place, *(flags(place, out, *more) for out, more in taken.items())) == [0]
    state = exported(whole)
    for out in taken:
        assert_close(place / out, whole, steps=8)
        for name, value in exported(place / out).items():
            assert (value - state[name]).abs().mean() < 1e-6  # AdamW turns last bits of small gradients into steps
        assert json.loads((place / out / "model" / "pbe.json").read_text())["weights"] == "ema"
    if len(stages) > 2:
        back = flags(place, "z3w1m2", "--zero-stage", "3", "--ema", "0.9")
        assert set(run(place, back, world=2)) == {0}
        assert_close(place / "z3w1m2", whole, steps=8)


@pytest.mark.slow
def test_a_compiled_unet_trains_alike_at_the_stages_that_allow_it(place: Path, whole: Path) -> None:
    more = ("--compile", "--steps", "2", "--ema", "0.9")
    lines = [flags(place, f"compiled{stage}", *more, "--zero-stage", str(stage)) for stage in (0, 2)]
    with RankGroup(place / "log", ALL, [lines], world=1, patience_seconds=500) as group:
        assert group.wait() == [0]
    for stage in (0, 2):
        assert_close(place / f"compiled{stage}", whole, steps=2)


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_killed_anywhere_and_started_again_the_log_is_that_of_an_uninterrupted_run(place: Path, kills: int) -> None:
    more = ("--zero-stage", "2", "--ema", "0.9", *OTHER_OBJECTIVE)
    assert set(run(place, flags(place, "uncut", *more), world=2)) == {0}
    cut = place / f"cut{kills}"

    def rows(count: int) -> Callable[[], bool]:
        return lambda: len(read_rows(cut / METRICS)) >= count

    def saving(after: int) -> Callable[[], bool]:
        return lambda: any((cut / CHECKPOINTS).glob(f"partial-step-{after:08d}/*.pt"))

    moments = ((rows(1), None), (saving(2), None), (rows(3), 1), (saving(4), 0), (rows(5), None))
    for moment, only in moments[:kills]:
        with RankGroup(place / "log", MAIN, [flags(place, cut.name, *more)], world=2) as group:
            group.wait_until(moment)
            group.kill(signal.SIGKILL, only=only)
            assert None not in group.wait()  # ranks whose peer has died end by themselves
    assert set(run(place, flags(place, cut.name, *more), world=2)) == {0}
    assert losses(cut) == losses(place / "uncut")
    found, expected = (read_rows(out / METRICS) for out in (cut, place / "uncut"))
    for name in ("objective", "lr"):
        assert [row[name] for row in found] == [row[name] for row in expected]
    assert all(row["objective"] != row["loss"] for row in found) and found[-1]["lr"] == 0
    logged = runs(cut)
    assert len(logged) == kills + 1 and "ended" not in logged[0]
    assert {run.get("how") for run in logged[:kills]} <= {None, "failed"}
    assert logged[-1]["how"] == "complete" and logged[-1]["steps_finished"] + logged[-1]["steps_made"] == 8
    for name, value in exported(place / "uncut").items():
        assert torch.equal(value, exported(cut)[name])
    assert sorted(path.name for path in (cut / CHECKPOINTS).glob("*step*")) == [f"step-0000000{n}" for n in (4, 6, 8)]


def test_a_damaged_checkpoint_is_passed_over_by_name_and_nothing_is_opened_if_all_are(place: Path, whole: Path) -> None:
    out = place / "damaged"
    assert run(place, flags(place, "damaged", "--zero-stage", "1", "--ema", "0.9", "--steps", "4")) == [0]
    newest = out / CHECKPOINTS / "step-00000004"
    [file] = newest.glob("*optim_states.pt")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    (place / "log").unlink()
    few = ("--steps", "3", "--save-every", "1", "--keep-last", "1")
    assert run(place, flags(place, "damaged", "--zero-stage", "1", "--ema", "0.9", *few)) == [0]
    assert (out / CHECKPOINTS / "step-00000003").is_dir()  # the damaged one, though newer, takes nobody's place
    assert run(place, flags(place, "damaged", "--zero-stage", "1", "--ema", "0.9")) == [0]
    assert f"{file.name} is not as it was written" in log(place) and "from step-00000002" in log(place)
    assert_close(out, whole, steps=8)
    for folder in (out / CHECKPOINTS).glob("step-*"):
        (folder / "intruder.pt").write_bytes(b"")
    assert run(place, flags(place, "damaged", "--zero-stage", "1", "--ema", "0.9", "--steps", "9")) == [2]
    assert "every checkpoint is damaged" in log(place)


def test_a_missing_sample_stops_by_name_or_is_counted(place: Path) -> None:
    shutil.copytree(place / "data", place / "holes")
    (place / "holes/shards/train/000001-d00.tar").unlink()
    more = ("--data", str(place / "holes"), "--steps", "4")
    assert run(place, flags(place, "stopped", *more)) == [2]
    assert "000001-d00.tar: sample photo1x" in log(place)
    (place / "log").unlink()
    assert run(place, flags(place, "stopped2", *more), world=2) == [2, 2]
    told = re.findall("error: .*", log(place))  # one may stand behind the other rank's progress bar
    assert len(told) == 2 and told[0] == told[1] and "000001-d00.tar: sample photo1x" in told[0]
    assert "--bad-samples skip" in told[0] and "Traceback" not in log(place)
    assert run(place, flags(place, "holed", *more, "--bad-samples", "skip")) == [0]
    assert read_rows(place / "holed" / METRICS)[-1]["missing_samples"] == 5 * 1


def test_a_damaged_validation_index_stops_before_the_first_step(place: Path, make: Callable[..., Any]) -> None:
    make(place / "torn")
    [index, *_] = sorted((place / "torn" / "index" / "validation").glob("*-d00.parquet"))
    index.write_bytes(index.read_bytes()[:-100])
    base = ["smoke", "--data", str(place / "torn"), "--workers", "0", "--out", str(place / "torn_run")]
    assert run(place, [*base, "--eval-every", "2"]) == [2]
    assert str(index) in log(place) and read_rows(place / "torn_run" / METRICS) == []


def test_a_disk_too_small_for_any_file_stops_plainly_and_the_training_goes_on_once_there_is_room(
    place: Path, whole: Path, small_disk: SmallDisk
) -> None:
    disk, resize = small_disk
    command = flags(place, "unused", "--zero-stage", "0", "--ema", "0.9", "--out", str(disk / "run"))
    size = 300
    codes: list[int | None] = []
    while codes[-1:] != [0] and size < 100_000:
        resize(f"{size}k")
        before = len(log(place))
        codes += run(place, command)
        said = log(place)[before:]
        assert "Traceback" not in said
        assert codes[-1] == 0 or ("stopped: a disk is full" in said and "run the same command again" in said), said
        size *= 2
    assert codes[-1] == 0 and set(codes[:-1]) == {1}
    assert_close(disk / "run", whole, steps=8)
    assert (disk / "run/model/unet").is_dir()


def test_sigterm_saves_at_the_end_of_the_step_and_the_next_start_goes_on(place: Path, whole: Path) -> None:
    args = flags(place, "termed", "--zero-stage", "0", "--ema", "0.9", "--save-every", "100")
    with RankGroup(place / "log", MAIN, [args], world=2) as group:
        group.wait_until(lambda: len(read_rows(place / "termed" / METRICS)) >= 2)
        group.kill(signal.SIGTERM, only=1)
        assert group.wait() == [0, 0]
    done = losses(place / "termed")
    assert 2 <= len(done) < 8 and (place / "termed" / CHECKPOINTS / f"step-{len(done):08d}").is_dir()
    assert run(place, args) == [0]
    assert_close(place / "termed", whole, steps=8)
    assert [each["how"] for each in runs(place / "termed")] == ["interrupted", "complete"]
    assert [each["steps_made"] for each in runs(place / "termed")] == [len(done), 8 - len(done)]


def test_draws_raised_under_a_training_leave_its_order_and_losses_as_they_were(place: Path) -> None:
    counts = [[9, 5, 14, 7], [8, 12, 3, 13]]
    write_synthetic(place / "grows", counts[:1], side=8, dimension=16)
    grows = ("--data", str(place / "grows"), "--zero-stage", "2")
    assert set(run(place, flags(place, "ends", *grows), flags(place, "goes_on", *grows, "--steps", "2"), world=2)) == {
        0
    }
    write_synthetic(place / "grows", counts, side=8, dimension=16)
    (place / "log").unlink()
    assert set(run(place, flags(place, "goes_on", *grows), flags(place, "anew", *grows), world=2)) == {0}
    assert losses(place / "goes_on") == losses(place / "ends") != losses(place / "anew")
    assert log(place).count("draw 0 of 2; another --out takes all") == 1


def test_another_training_a_second_one_and_a_cut_lane_are_refused(place: Path, whole: Path) -> None:
    more = ("--zero-stage", "0", "--ema", "0.9")
    cases = {
        "seed 5 -> 6": flags(place, "whole", *more, "--seed", "6"),
        "lr 0.0001 -> 0.001, zero_stage 0 -> 1": flags(place, "whole", "--ema", "0.9", "--lr", "1e-3"),
        "lies in the dataset": flags(place, "data"),
        "--grid-every -1": flags(place, "grids", "--grid-every", "-1"),
        "holds checkpoints": flags(place, "whole", *more, "--resume", "never"),
        "live exemplars need an encoder": flags(place, "open", "--no-augmentation"),
    }
    if not torch.ops.mkldnn._is_mkldnn_fp16_supported():  # by newer CPUs
        cases["this device (cpu) cannot"] = flags(place, "half", "--dtype", "fp16")
    (place / "log").unlink(missing_ok=True)
    run(place, *cases.values())
    for message in cases:
        assert message in log(place)
    assert set(run(place, flags(place, "three"), world=3)) == {2}
    assert "world size 3 does not divide the 4 lanes; allowed: 1, 2, 4" in log(place)
    (place / "file").write_text("")
    nowhere = ("--data", str(place / "nowhere"))
    mistakes = (("--micro-batch", "3"), ("--lr", "nan"), ("--out", str(place / "file")), nowhere)
    assert run(place, *(flags(place, "mistaken", *mistake) for mistake in mistakes)) == [2]
    messages = (
        "does not come out even",
        "--lr nan: give a number from 0",
        "file is a file; give another place",
        "no such folder",
    )
    for message in messages:
        assert message in log(place)
    assert not any((place / out).exists() for out in ("mistaken", "half", "open", "grids"))
    assert "Traceback" not in log(place)


def test_the_average_is_the_model_and_the_weights_of_a_training_without_one_lie_beside_it(
    place: Path, whole: Path
) -> None:
    for out in ("only_raw", "killed"):
        shutil.copytree(whole, place / out)
    shutil.rmtree(place / "killed/model-raw")  # between the two that an export writes
    more = ("--zero-stage", "0", "--ema", "0.9")
    lines = [
        flags(place, "without", "--zero-stage", "0"),
        flags(place, "only_raw", *more, "--export-only", "--export-weights", "raw"),
        flags(place, "killed", *more),
        flags(place, "from_raw", "--init-from", str(whole), "--weights", "raw", "--steps", "1", "--lr", "0"),
    ]
    assert run(place, *lines) == [0]
    assert losses(place / "without") == losses(whole)
    for part in ("unet/diffusion_pytorch_model", "conditioner/model"):
        raw, average = exported(whole, part, model="model-raw"), exported(whole, part)
        assert any(not torch.equal(value, average[name]) for name, value in raw.items())
        for out in ("without", "only_raw", "from_raw"):
            assert all(torch.equal(value, raw[name]) for name, value in exported(place / out, part).items())
        again = exported(place / "killed", part, model="model-raw")
        assert all(torch.equal(value, raw[name]) for name, value in again.items())
    notes = {name: json.loads((whole / name / "pbe.json").read_text()) for name in ("model", "model-raw")}
    assert notes["model"] == {**notes["model-raw"], "weights": "ema", "average": {"decay": 0.9, "updates": 8}}
    assert [(place / out / "model-raw").exists() for out in ("without", "only_raw", "killed")] == [False, False, True]


def test_weights_come_in_and_go_out_unchanged_the_dead_ones_also_through_bf16(place: Path, whole: Path) -> None:
    start = ("--init-from", str(whole / "model"), "--steps", "2", "--lr", "0")
    low = ("--dtype", "bf16", "--zero-stage", "3", "--checkpointing", "--channels-last")
    turned = flags(place, "turned", *start, "--prediction", "v")
    assert run(place, flags(place, "same", *start), flags(place, "low", *start, *low), turned) == [0]
    assert all(row["objective"] == row["loss"] for row in read_rows(whole / METRICS))
    first = exported(whole)
    for out in ("same", "turned"):
        assert all(torch.equal(value, first[name]) for name, value in exported(place / out).items())
    assert f"{whole / 'model'} predicts epsilon; the model learns to predict v instead" in log(place)
    assert read_weights(str(place / "turned")).prediction == "v"
    rounded = exported(place / "low")
    dead = [
        name for name in first if "attn2.to_q" in name or "attn2.to_k" in name or (".norm2" in name and "trans" in name)
    ]
    assert dead and all(torch.equal(rounded[name], first[name]) for name in dead)
    build_model(read_weights(str(place / "low" / "model")))


def test_the_papers_switches_train_and_export_what_loads_again(
    place: Path, make: Callable[..., Any], clip: ClipEncoder
) -> None:
    make(place / "photos", keep_source=True)
    base = ["smoke", "--data", str(place / "photos"), "--steps", "2", "--workers", "0", "--eval-every", "2"]
    switches = {
        "all": [],
        "no-augmentation": ["--no-augmentation"],
        "no-bottleneck": ["--no-bottleneck", "--dtype", "bf16", "--zero-stage", "3"],
        "no-drop": ["--no-guidance-drop", "--exemplar", "live", "--dtype", "bf16", "--zero-stage", "2"],
        "naive": ["--naive", "--ema", "0.9"],
        "offloaded": ["--offload", "--zero-stage", "2"],
    }
    lines = [[*base, "--out", str(place / name), *more] for name, more in switches.items()]
    assert run(place, *lines) == [0], log(place)
    dataset, masks = open_dataset(str(place / "photos"), split="train"), ("drawn", "box")
    sides = {mode: summarise_hole_sides(sample_hole_sides(dataset, masks=mode)) for mode in masks}  # type: ignore[arg-type]
    assert sides["box"]["50"] < sides["drawn"]["50"]
    expected = {"no-bottleneck": ("pbe", "raw", False), "naive": ("pbe", "ema", False)}
    for name in switches:
        note = json.loads((place / name / "model" / "pbe.json").read_text())
        assert (note["layout"], note["weights"], note["bottleneck"]) == expected.get(name, ("diffusers", "raw", True))
        weights = read_weights(str(place / name / "model"))
        assert build_model(weights).config.bottleneck == note["bottleneck"]
        tower = build_tower(weights).state_dict()  # to the bit, also where exemplars went through it in bf16
        assert all(torch.equal(value, tower[key]) for key, value in clip.model.state_dict().items()), name
        assert note["hole_sides"] == sides["box" if name in ("no-augmentation", "naive") else "drawn"]
        assert read_rows(place / name / METRICS)[-1]["validation_loss"] > 0
    assert "importing torch" in log(place) and "validation: " in log(place) and "start-up included" in log(place)
    assert f"{look_line(str(place / 'all'))}\n" in log(place)
    commands = map(shlex.split, re.findall(r"edit with it: python -m pbe.edit (.*)\n", log(place)))
    [command] = [words for words in commands if words[-1] == str(place / "all/example/edited.png")]
    assert edit([*command, "--steps", "1"]) == 0 and (place / "all/example/edited.png").exists()
    assert losses(place / "all")[0][2] == losses(place / "naive")[0][2]
    assert losses(place / "all")[0][1] == pytest.approx(losses(place / "offloaded")[0][1], abs=1e-5)
    assert (place / "all" / "loss.png").stat().st_size > 5000
    anew = [*base, "--out", str(place / "all"), "--export-only", "--export-layout", "pbe", "--export-dtype", "fp16"]
    parts = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model")
    before = [exported(place / "all", part) for part in parts]
    assert run(place, anew) == [0]
    assert json.loads((place / "all" / "model" / "pbe.json").read_text())["layout"] == "pbe"
    for full, part in zip(before, parts, strict=True):
        assert_same(exported(place / "all", part), {name: value.half() for name, value in full.items()})
