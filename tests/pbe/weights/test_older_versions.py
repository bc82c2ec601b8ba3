"""Folders go back and forth between this project and diffusers before 0.38 with transformers 4."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pbe.convert import main
from pbe.weights.parts import load_parts
from tests.pbe.conftest import assert_same

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent.parent
PAIR = ["diffusers==0.37.1", "transformers==4.57.6", "huggingface-hub>=0.34,<1", "tokenizers>=0.22,<=0.23"]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the older pair; all else, torch too, is shared."""
    folder = tmp_path_factory.mktemp("older")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *PAIR]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no package index within reach: {done.stderr.strip().splitlines()[-1]}")
    return folder


def _run(older: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{older}:{ROOT}", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def saved(older: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("saved")
    _run(older, "-m", "tests.pbe.weights.older_versions", "save", str(out))
    return out


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["safetensors", "bin", "fp16"])
def test_folders_of_the_older_pair_load_with_equal_tensors(saved: Path, kind: str) -> None:
    tensors: dict[str, Any] = torch.load(saved / "tensors.pt", weights_only=True)
    dtype = torch.float16 if kind == "fp16" else torch.float32
    rounded = {part: {k: v.to(dtype).float() for k, v in tensors[part].items()} for part in tensors}
    encoder = rounded["image_encoder"]
    parts = load_parts(str(saved / kind))
    assert_same(parts.model.unet.state_dict(), rounded["unet"])
    assert_same(parts.vae.state_dict(), rounded["vae"])
    assert_same(parts.model.conditioner.state_dict(), {k: v for k, v in encoder.items() if not k.startswith("model.")})
    tower = {key.removeprefix("vision_model."): value for key, value in parts.tower.state_dict().items()}
    assert_same(tower, {k.split("vision_model.")[1]: v for k, v in encoder.items() if k.startswith("model.")})


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_the_older_pair_opens_what_is_written_here_and_paints_the_same(
    older: Path, saved: Path, tmp_path: Path, kind: str
) -> None:
    assert main(["--model", str(saved / kind), "--out", str(tmp_path / "out"), "--layout", "diffusers"]) == 0
    _run(older, "-m", "tests.pbe.weights.older_versions", "paint", str(tmp_path / "out"), str(tmp_path / "pictures.pt"))
    before, after = (torch.load(folder / "pictures.pt", weights_only=True) for folder in (saved, tmp_path))
    for picture, again in zip(before, after, strict=True):
        assert torch.isfinite(picture).all() and picture.std() > 0 and torch.equal(picture, again)


@pytest.mark.processes
def test_this_project_works_on_the_older_pair(older: Path) -> None:
    names = ("reading", "parts", "forms", "averages", "not_finite", "opening", "export", "ldm_names", "ldm_checkpoint")
    rooms = [f"weights/test_{name}" for name in names]
    modules = [f"tests/pbe/{name}.py" for name in ("test_convert", *rooms)]
    said = _run(older, "-m", "pytest", "-q", "tests/pipeline/encoders/test_encoders.py", *modules)
    assert "100%" in said
