"""DINO: vision transformers of each known type, from what transformers saves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage.data import chelsea, coffee

from pbe.evaluation.metrics.encoders.dino import PREPROCESSOR
from pbe.evaluation.metrics.encoders.opening import open_encoder
from pipeline.errors import InputError
from tests.pbe.evaluation.metrics.encoders.tiny_towers import SIDE, save, tiny_vit

KINDS = {
    "ViT": "ViT-32x2/8 (tower)",
    "Dinov2": "DINOv2 ViT-32x2/8",
    "Dinov2WithRegisters": "DINOv2 with registers ViT-32x2/8",
    "DINOv3ViT": "DINOv3 ViT-32x2/8",
}


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return save(tiny_vit("Dinov2"), tmp_path / "tower")


@pytest.mark.parametrize("kind", KINDS)
def test_the_features_are_the_normed_class_token(tmp_path: Path, kind: str) -> None:
    model = tiny_vit(kind)
    encoder = open_encoder(f"dino={save(model, tmp_path / 'tower')}")
    assert (encoder.name, encoder.dimension) == (KINDS[kind], 32)
    assert encoder.side == (SIDE if kind == "ViT" else 224)
    picture = np.resize(chelsea(), (encoder.side, encoder.side, 3))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    image = torch.from_numpy(((picture / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    theirs = model(pixel_values=image).last_hidden_state[:, 0].numpy()
    assert np.allclose(encoder.encode([picture]), theirs, atol=1e-5)


def test_the_preprocessors_config_decides_the_preparation(tower: Path) -> None:
    plain = open_encoder(f"dino={tower}")
    given = {"size": {"shortest_edge": 48}, "crop_size": {"height": 40, "width": 40}, "do_center_crop": True}
    (tower / PREPROCESSOR).write_text(json.dumps({**given, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    prepared = open_encoder(f"dino={tower}")
    assert prepared.side == 40 and plain.side == 224
    assert prepared.digest != plain.digest
    assert np.isfinite(prepared.encode([coffee()])).all()


@pytest.mark.parametrize("given", [{"size": "big"}, {"image_std": [0, 1, 1]}, {"image_mean": [1]}, {"size": -4}])
def test_a_preprocessor_without_sense_is_refused(tower: Path, given: dict[str, object]) -> None:
    (tower / PREPROCESSOR).write_text(json.dumps(given))
    with pytest.raises(InputError, match=PREPROCESSOR):
        open_encoder(f"dino={tower}")


def test_a_missing_tensor_is_refused_and_a_heads_own_is_left_out(tower: Path) -> None:
    state = load_file(tower / "model.safetensors")
    save_file({**state, "classifier.weight": torch.ones(3, 32)}, tower / "model.safetensors")
    assert open_encoder(f"dino={tower}").name == KINDS["Dinov2"]
    save_file({name: tensor for name, tensor in state.items() if name != "layernorm.bias"}, tower / "model.safetensors")
    with pytest.raises(InputError, match=r"lacks 1 tensors, such as layernorm\.bias"):
        open_encoder(f"dino={tower}")


def test_towers_that_have_learned_nothing_say_so(tmp_path: Path) -> None:
    tower = save(tiny_vit("Dinov2", trained=False), tmp_path / "tower")
    assert open_encoder(f"dino={tower}").name == f"untrained {KINDS['Dinov2']}"
    assert open_encoder("dino=untrained").name == "untrained ViT"


def test_pickled_weights_with_a_program_in_them_are_not_run(tower: Path, tmp_path: Path) -> None:
    class Program:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tower / "model.safetensors").unlink()
    torch.save({"layernorm.bias": Program()}, tower / "pytorch_model.bin")
    with pytest.raises(InputError):
        open_encoder(f"dino={tower}")
    assert not (tmp_path / "ran").exists()
