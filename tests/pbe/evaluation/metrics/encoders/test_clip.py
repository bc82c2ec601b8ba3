"""CLIP: what is read of a folder, and whose features come out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage.data import chelsea, coffee

from pbe.evaluation.metrics.encoders.names import PAPER_ENCODER
from pbe.evaluation.metrics.encoders.opening import open_encoder
from pipeline.encoders.libraries import transformers
from pipeline.errors import InputError
from tests.pbe.evaluation.metrics.encoders.tiny_towers import SIDE, save, tiny_clip

NAME = f"CLIP ViT-32x2-16/8 at {SIDE} px"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny_clip(), tmp_path_factory.mktemp("clip"))


def changed(folder: Path, to: Path, **tensors: torch.Tensor | None) -> Path:
    """The same model with other tensors; None: left out."""
    to.mkdir()
    (to / "config.json").write_bytes((folder / "config.json").read_bytes())
    new = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    state = load_file(folder / "model.safetensors") | new
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, to / "model.safetensors")
    return to


def test_the_features_are_those_of_clips_own_encode_image(folder: Path) -> None:
    encoder = open_encoder(f"clip={folder}")
    pictures = [coffee(), chelsea()[:, :90], chelsea()[:SIDE, :SIDE]]
    squares = np.stack([encoder.preparation.square(picture) for picture in pictures])  # type: ignore[attr-defined]
    images = torch.from_numpy(encoder.preparation.normalise(squares)).permute(0, 3, 1, 2)  # type: ignore[attr-defined]
    theirs = tiny_clip().get_image_features(pixel_values=images)
    theirs = theirs if isinstance(theirs, torch.Tensor) else theirs.pooler_output  # transformers 5
    features = encoder.encode(pictures)
    assert features.shape == (3, 16) and features.dtype == np.float32
    assert np.allclose(features, theirs.numpy(), atol=1e-5)
    assert (encoder.name, encoder.dimension, encoder.side) == (NAME, 16, SIDE)


def test_what_stands_beside_a_picture_changes_no_bit_of_its_features(folder: Path) -> None:
    encoder = open_encoder(f"clip={folder}")
    pictures = [coffee(), chelsea(), coffee()[::-1]]
    together = encoder.encode(pictures)
    assert np.array_equal(together[::-1], encoder.encode(pictures[::-1]))
    assert np.array_equal(together[1:2], encoder.encode([pictures[1]]))
    assert encoder.encode([]).shape == (0, 16)


def test_the_digest_names_weights_and_precision(folder: Path, tmp_path: Path) -> None:
    digest = open_encoder(f"clip={folder}").digest
    assert len(digest) == 16 and int(digest, 16)
    assert open_encoder(f"clip={folder}").digest == digest
    other = changed(folder, tmp_path / "other", visual_projection__weight=torch.ones(16, 32))
    assert open_encoder(f"clip={other}").digest != digest
    assert open_encoder(f"clip={folder}", dtype="bfloat16").digest != digest


def test_a_tower_saved_without_the_text_half_is_the_same_encoder(folder: Path, tmp_path: Path) -> None:
    config = transformers.CLIPVisionConfig.from_pretrained(folder)
    config.projection_dim = 16
    half = transformers.CLIPVisionModelWithProjection(config)
    half.load_state_dict(tiny_clip().state_dict(), strict=False)
    whole, alone = open_encoder(f"clip={folder}"), open_encoder(f"clip={save(half, tmp_path)}")
    assert (alone.name, alone.digest) == (whole.name, whole.digest)
    assert np.array_equal(alone.encode([coffee()]), whole.encode([coffee()]))


def test_a_tower_that_has_learned_nothing_says_so(tmp_path: Path) -> None:
    assert open_encoder(f"clip={save(tiny_clip(trained=False), tmp_path)}").name == f"untrained {NAME}"
    assert open_encoder("clip=untrained").name == "untrained CLIP"


def test_a_tower_without_projection_is_no_clip(folder: Path, tmp_path: Path) -> None:
    tower = changed(folder, tmp_path / "tower", visual_projection__weight=None)
    with pytest.raises(InputError, match=r"no visual_projection.weight.*give a complete CLIP"):
        open_encoder(f"clip={tower}")


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [(torch.full((16, 32), torch.nan), "NaN"), (torch.zeros(15, 32), "15, 32")],
)
def test_weights_that_do_not_fit_or_are_not_finite_are_refused(
    folder: Path, tmp_path: Path, tensor: torch.Tensor, reason: str
) -> None:
    broken = changed(folder, tmp_path / "broken", visual_projection__weight=tensor)
    with pytest.raises(InputError, match=reason):
        open_encoder(f"clip={broken}")


@pytest.mark.gpu
def test_a_gpu_gives_the_features_of_the_cpu_whatever_stands_beside_a_picture(folder: Path) -> None:
    cpu, gpu = (open_encoder(f"clip={folder}", device=device) for device in ("cpu", "cuda"))
    pictures = [coffee()[row : row + 99] for row in range(40)]
    features = gpu.encode(pictures)
    assert gpu.digest == cpu.digest
    assert np.allclose(features, cpu.encode(pictures), atol=1e-2)
    assert np.array_equal(features[33:], gpu.encode(pictures[33:]))
    assert np.array_equal(features[::-1], gpu.encode(pictures[::-1]))


@pytest.mark.slow
def test_a_random_tower_of_the_papers_shape_is_untrained_and_a_trained_one_bears_its_name(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    model = CLIPModel(CLIPConfig(text_config={"num_hidden_layers": 1}))
    assert open_encoder(f"clip={save(model, tmp_path / 'random')}").name == f"untrained {PAPER_ENCODER}"
    with torch.no_grad():
        model.vision_model.pre_layrnorm.bias += 0.1
    encoder = open_encoder(f"clip={save(model, tmp_path / 'moved')}")
    assert encoder.name == PAPER_ENCODER
    assert encoder.encode([coffee()]).shape == (1, 512)
