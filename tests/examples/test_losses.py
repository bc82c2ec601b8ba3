"""The losses by exemplar: what does not fit is refused, and what was measured is written as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.small_model.losses import LossesConfig, main, numbers_of, refuse_other_sizes, table_of, warnings_of
from pbe.evaluation.exemplar_use import CONDITIONS, OTHER, RIGHT, SAME_CLASS, UNCONDITIONAL, ExemplarUse
from pbe.model.paint_by_example import PaintByExample, model_config
from pbe.model.unet import UNET_SIZES
from pbe.weights.export import export_model
from pipeline.errors import InputError

RECIPE = {
    "resolution": 64,
    "vae": {"factor": 4, "channels": 12, "fingerprint": "a"},
    "clip": {"dimension": 96, "fingerprint": "b"},
}
UNET = {"out_channels": 12, "sample_size": 16}
CONFIG = LossesConfig(model="MODEL", data="DATA", out="x.json")


def use_of(losses: dict[str, float], *, photos: int = 12) -> ExemplarUse:
    """A measurement in which all photos have the same loss; NaN: none has the condition."""
    return ExemplarUse(
        [str(n) for n in range(photos)], (500,), {name: np.full((1, photos), losses[name]) for name in CONDITIONS}
    )


def test_the_table_and_the_numbers_say_what_was_measured() -> None:
    use = use_of({RIGHT: 0.1, OTHER: 0.15, SAME_CLASS: 0.12, UNCONDITIONAL: 0.2})
    assert "| 500 | 0.1000 | 1.500 [1.500, 1.500] | 1.200 [1.200, 1.200] | 2.000 [2.000, 2.000] |" in table_of(use)
    numbers = json.loads(json.dumps(numbers_of(use)))["timesteps"]["500"]
    assert numbers["gain"][UNCONDITIONAL]["value"] == pytest.approx(0.1)
    assert numbers["losses"][RIGHT] == pytest.approx(0.1)


def test_a_condition_that_no_photo_has_is_left_out() -> None:
    use = use_of({RIGHT: 0.1, OTHER: 0.15, SAME_CLASS: float("nan"), UNCONDITIONAL: 0.2})
    assert "1.500] | \N{EN DASH} |" in table_of(use)
    assert SAME_CLASS not in json.dumps(numbers_of(use)["timesteps"])


def test_a_dataset_of_other_sizes_is_refused_with_what_differs() -> None:
    refuse_other_sizes(CONFIG, RECIPE, UNET, 96)
    with pytest.raises(InputError, match="cells 16, the model's 32; exemplar width 96, the model's 8; make it with"):
        refuse_other_sizes(CONFIG, RECIPE, {**UNET, "sample_size": 32}, 8)


def test_encoders_that_the_training_did_not_record_are_told() -> None:
    assert not list(warnings_of({"encoders": {"vae": "a", "clip": "b"}}, RECIPE))
    [line] = warnings_of({"encoders": {"vae": "a", "clip": "c"}}, RECIPE)
    assert "the dataset's clip" in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--limit", "-1"], "--limit -1"),
        (["--out", "x.txt"], "ends in .json"),
        (["--out", "memory://x.json"], "on a local disk"),
        (["--out", "/dev/null/x.json"], "/dev/null is a file"),
        ([], "DATA"),
    ],
)
def test_a_mistake_is_refused_by_name(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = {"--model": "MODEL", "--data": str(tmp_path / "DATA"), "--out": str(tmp_path / "x.json")}
    given |= dict([flags]) if flags else {}
    assert main([word for flag in given.items() for word in flag]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_measures_every_unseen_photo_or_says_whose_loss_is_not_finite(
    tmp_path: Path, make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "data", draws=1, split_shares=(0.0, 1.0, 0.0))
    recipe = json.loads((tmp_path / "data/manifest.json").read_text())["recipe"]
    side, channels, width = (
        recipe["resolution"] // recipe["vae"]["factor"],
        recipe["vae"]["channels"],
        recipe["clip"]["dimension"],
    )
    config = model_config(
        UNET_SIZES["tiny"], latent_channels=channels, latent_size=side, exemplar_width=width, blocks=1
    )
    model = PaintByExample(config)
    export_model(
        tmp_path / "model", model.state_dict(), config, vae=None, tower=None, weights="raw", step=0, layout="pbe"
    )
    out = tmp_path / "out/losses.json"
    flags = {"--model": tmp_path / "model", "--data": tmp_path / "data", "--out": out}
    assert main([str(word) for flag in flags.items() for word in flag]) == 0
    assert json.loads(out.read_text())["photos"][RIGHT] == 7

    weights = model.unet.conv_in.weight
    weights.data.fill_(1e30)
    export_model(
        tmp_path / "broken", model.state_dict(), config, vae=None, tower=None, weights="raw", step=0, layout="pbe"
    )
    flags |= {"--model": tmp_path / "broken"}
    assert main([str(word) for flag in flags.items() for word in flag]) == 2
    assert "broken: right at timestep 250: not finite is the loss of" in capsys.readouterr().err
