"""An exported model opens in the diffusers that is installed."""

import sys
from pathlib import Path

import diffusers
import pytest
import torch

import pbe
from pbe.weights.export import export_model
from pipeline.errors import InputError
from tests.pbe.conftest import paint, random_model, tiny_config
from tests.pbe.editing.tiny_model import write_model

PLACE = "diffusers.pipelines.paint_by_example"


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers as a fresh process imports it, whatever was made findable here before."""
    if "deprecated" in sys.modules[PLACE].__name__:
        monkeypatch.delitem(sys.modules, PLACE)
        monkeypatch.delattr(diffusers.pipelines, "paint_by_example")


def test_a_model_and_a_trainings_folder_open_as_diffusers_own_pipeline(tmp_path: Path, untouched: None) -> None:
    write_model(tmp_path / "run/model")
    for folder in (tmp_path / "run", str(tmp_path / "run/model")):
        pipeline = pbe.load_pipeline(folder)
        assert isinstance(pipeline, diffusers.PaintByExamplePipeline)
    pictures = paint(pipeline, output_type="latent")
    assert torch.isfinite(pictures).all() and pictures.std() > 0
    assert pbe.load_pipeline(folder, torch_dtype=torch.float16).unet.dtype == torch.float16


def test_what_diffusers_cannot_hold_is_refused_with_what_can(tmp_path: Path) -> None:
    model = random_model(tiny_config())
    export_model(tmp_path / "own", model.state_dict(), model.config, vae=None, tower=None, weights="raw", step=1)
    with pytest.raises(InputError, match=r"own: is not in diffusers' layout of Paint by Example.*edit with pbe.edit"):
        pbe.load_pipeline(tmp_path / "own")
    with pytest.raises(InputError, match=r"absent: no such folder"):
        pbe.load_pipeline(tmp_path / "absent")
