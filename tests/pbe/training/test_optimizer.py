"""A step is set up to be fast: a fused optimiser, whatever made the checkpoint, on gradients added up in fp32."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pbe.training.run_folder import CHECKPOINTS
from tests.pbe.training.rank_group import RankGroup
from tests.pbe.training.small_runs import flags, log, losses
from tests.synthetic import write_synthetic

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("trainings")]

PRELOADED = "tests.pbe.training.preloaded"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("optimizer")
    write_synthetic(place / "data", [[30, 20]], side=8, dimension=16)
    return place


def test_gradients_of_many_micro_batches_keep_their_bits_at_stages_2_and_3(place: Path) -> None:
    with RankGroup(place / "log", f"{PRELOADED}.measure_sums", [flags(place, "sums"), str(place)], world=1) as group:
        assert group.wait() == [0], log(place)
    errors = json.loads((place / "sums.json").read_text())
    assert errors.pop("1") > 1e-3
    assert max(errors.values()) < 1e-4, errors


def test_a_training_of_an_earlier_version_goes_on_with_the_fused_optimiser(place: Path) -> None:
    kinds = {"z0": ["--zero-stage", "0"], "z3": ["--zero-stage", "3"], "off": ["--zero-stage", "2", "--offload"]}
    before = [flags(place, name, *more, "--steps", "2") for name, more in kinds.items()]
    now = [flags(place, name, *more, "--steps", "4") for name, more in kinds.items()]
    with RankGroup(place / "log", f"{PRELOADED}.train_as_before", [before, now], world=1) as group:
        assert group.wait() == [0], log(place)
    for name in kinds:
        assert [_optimiser(place / name, step) for step in (2, 4)] == [(None, 2.0), (True, 4.0)], name
        found, expected = losses(place / name), losses(place / "z0")
        assert [loss for _, loss, _ in found] == pytest.approx([loss for _, loss, _ in expected], abs=1e-5)


def test_what_makes_a_step_fast_is_set_in_the_trainer_alone(place: Path) -> None:
    """A shard job's encoders are set to equal bytes, whatever was set before in their process."""
    kinds: list[tuple[str, ...]] = [
        (),
        ("--tf32",),
        ("--dtype", "bf16", "--channels-last", "--checkpointing", "--compile"),
    ]
    arguments = [[flags(place, "set", *more) for more in kinds], "untrained", str(place / "settings.json")]
    with RankGroup(place / "log", f"{PRELOADED}.tell_settings", arguments, world=1) as group:
        assert group.wait() == [0], log(place)
    plain, tf32, half, encoders = json.loads((place / "settings.json").read_text())
    always, off = (
        {"autotuned": True, "fused": True},
        {"compiled": False, "channels_last": False, "checkpointing": False},
    )
    assert plain == {**always, "tf32": [False], **off}
    assert tf32 == {**always, "tf32": [True], **off}
    assert half == {**always, "tf32": [True], **dict.fromkeys(off, True)}
    assert (encoders["autotuned"], encoders["deterministic"], encoders["contiguous"]) == (False, True, True)


def _optimiser(out: Path, step: int) -> tuple[Any, float]:
    """Read from a checkpoint whether its optimiser was fused, and how many updates it had made."""
    folder = out / CHECKPOINTS / f"step-{step:08d}"
    files = sorted(folder.glob("*optim_states.pt")) or sorted(folder.glob("mp_rank_*"))
    content: dict[str, Any] = torch.load(files[0], weights_only=False)  # our own, a moment old
    content = content.get("optimizer_state_dict") or content["optimizer"]  # of stage 0
    content = content.get("base_optimizer_state") or content.get("optimizer_state_dict") or content
    return content["param_groups"][0]["fused"], float(content["state"][0]["step"])
