"""Losses, weights and stored samples that are not finite are named, and never saved."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pbe.training.run_folder import METRICS, read_rows
from pipeline.encoders.vae import VaeEncoder, load_vae
from tests.pbe.training.small_runs import exported, flags, log, losses, run, run_spoilt
from tests.synthetic import write_synthetic

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("trainings")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("train")
    write_synthetic(place / "data", [[9, 5, 14, 7]], side=8, dimension=16)
    return place


def test_steps_whose_loss_is_not_finite_are_skipped_and_counted_then_stop_the_training_by_name(place: Path) -> None:
    (place / "log").unlink(missing_ok=True)
    for stage in ("0", "2"):
        more = ("--zero-stage", stage, "--most-bad-in-a-row", "9", "--micro-batch", "2")
        assert set(run_spoilt(place, flags(place, f"nan{stage}", *more), world=2)) == {0}
        rows = read_rows(place / f"nan{stage}" / METRICS)
        bad = [row["step"] for row in rows if row["loss"] is None]
        assert 0 < len(bad) < 8 and rows[-1]["skipped"] == len(bad)
        assert all(torch.isfinite(value).all() for value in exported(place / f"nan{stage}").values())
    assert losses(place / "nan0")[bad[0]][2] == losses(place / "nan2")[bad[0]][2]
    named = r"not finite is the loss of photo1x\d-0-0 \(the model\)"
    assert re.search(rf"^step {bad[0]}: skipped; {named}", log(place), re.MULTILINE)
    (place / "log").unlink()
    stop = flags(place, "stops", "--zero-stage", "2", "--most-bad", "1")
    assert set(run_spoilt(place, stop, world=2)) == {2}
    assert re.search(rf"error: step \d: .* In this step {named}.* stored of these samples is finite", log(place))


def test_a_training_that_never_changed_the_weights_is_no_success(place: Path) -> None:
    assert run_spoilt(place, flags(place, "never", "--steps", "1"), spoilt="photo") == [2]
    assert "none of 1 steps changed the weights" in log(place)
    assert not (place / "never/model").exists()


def test_validations_and_sample_grids_that_are_not_finite_are_told_by_name(
    place: Path, make: Callable[..., Any], vae: VaeEncoder
) -> None:
    model = copy.deepcopy(vae.model)
    model.decoder.conv_out.weight.data.fill_(3e38)  # finite, but no picture that it decodes is
    model.save_pretrained(place / "vae")
    encoder = load_vae(str(place / "vae"), device="cpu", dtype="float32")
    make(place / "photos", sources=encoder, vae=str(place / "vae"), draws=1)
    (place / "log").unlink(missing_ok=True)
    base = ["smoke", "--data", str(place / "photos"), "--vae", str(place / "vae"), "--steps", "1", "--workers", "0"]
    line = [*base, "--out", str(place / "seen"), "--eval-every", "1", "--grid-every", "1"]
    assert run_spoilt(place, line, spoilt="") == [2]
    assert re.search(r"validation at step 1: not finite is the loss of \S+ \(the model\)", log(place))
    assert "step 1: no sample grid, the VAE's decoder gives numbers that are not finite" in log(place)
    assert not (place / "seen/grids").exists() and "Traceback" not in log(place)


def test_weights_that_are_not_finite_are_neither_saved_nor_exported(place: Path) -> None:
    overflow = ("--lr", "3e37", "--weight-decay", "11", "--warmup-steps", "0", "--steps", "1", "--ema", "0.9")
    assert set(run(place, flags(place, "overflows", *overflow, "--zero-stage", "2"), world=2)) == {2}
    assert "error: step 1: the weights are not finite any more" in log(place)
    assert not (place / "overflows/model").exists() and not (place / "overflows/checkpoints").exists()


def test_a_stored_sample_that_is_not_finite_stops_by_name_on_all_ranks_or_is_counted(place: Path) -> None:
    write_synthetic(place / "nan", [[9, 5, 14, 7]], side=8, dimension=16, nan_units=(1,))
    (place / "log").unlink(missing_ok=True)
    more = ("--data", str(place / "nan"), "--steps", "4")
    assert set(run(place, flags(place, "unread", *more), world=2)) == {2}
    told = r"error: .*/000001-d00.tar: sample photo1x\d-0-0: latent holds NaN; .*--bad-samples skip"
    assert re.search(told, log(place))
    assert run(place, flags(place, "passed over", *more, "--bad-samples", "skip")) == [0]
    rows = read_rows(place / "passed over" / METRICS)
    assert rows[-1]["missing_samples"] > 0 and all(row["loss"] > 0 for row in rows)
