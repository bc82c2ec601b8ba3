import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from pipeline.encoders.facts import read_vae_facts
from pipeline.encoders.loading import codec_of, load_codec
from pipeline.encoders.patch_pca import PatchCodec
from pipeline.encoders.pixels import signed
from pipeline.encoders.vae import load_vae
from pipeline.errors import InputError
from tests.fitted_encoders import CHANNELS, FACTOR, smooth_pictures, write_fitted_codec

PICTURES = signed(np.stack(smooth_pictures(20)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fitted_codec(tmp_path_factory.mktemp("codec"))


def load(folder: Path, dtype: str = "float32") -> PatchCodec:
    codec = load_codec(str(folder), device="cpu", dtype=dtype)
    assert isinstance(codec, PatchCodec)
    return codec


def test_latents_of_the_photos_of_the_fit_have_unit_variance_in_every_channel(folder: Path) -> None:
    codec = load(folder)
    latents = codec.encode(PICTURES)
    assert latents.shape == (20, CHANNELS, 64 // FACTOR, 64 // FACTOR) and latents.dtype == np.float16
    np.testing.assert_allclose(latents.astype(float).std(axis=(0, 2, 3)), 1, atol=0.02)
    np.testing.assert_allclose(latents.astype(float).mean(axis=(0, 2, 3)), 0, atol=0.05)


def test_all_components_give_a_picture_back_and_fewer_its_colours(tmp_path: Path, folder: Path) -> None:
    complete = load(write_fitted_codec(tmp_path, channels=48))
    torch.testing.assert_close(complete.decode(complete.latents(PICTURES)), PICTURES / 2 + 0.5, atol=1e-4, rtol=0)
    codec = load(folder)
    decoded = codec.decode(torch.from_numpy(codec.encode(PICTURES)))
    assert -10 * (decoded - (PICTURES / 2 + 0.5)).square().mean().log10() > 27  # dB


def test_decoding_stays_within_the_range_and_leaves_what_is_not_finite(folder: Path) -> None:
    codec = load(folder)
    latents = 50 * torch.randn(1, CHANNELS, 4, 4, generator=torch.Generator().manual_seed(0))
    decoded = codec.decode(latents)
    assert decoded.shape == (1, 3, 16, 16) and decoded.min() == 0 and decoded.max() == 1
    latents[0, 0, 0, 0] = torch.nan
    assert codec.decode(latents)[..., :4, :4].isnan().all() and codec.decode(latents)[..., 4:, :].isfinite().all()


def test_the_fingerprint_follows_weights_and_precision_and_not_what_the_fit_says_of_itself(
    tmp_path: Path, folder: Path
) -> None:
    codec = load(folder)
    assert len({codec.fingerprint, load(folder, "bfloat16").fingerprint}) == 2
    assert load(write_fitted_codec(tmp_path / "other", seed=1)).fingerprint != codec.fingerprint
    codec.model.config["fitted_on"] = {"photos": 7}
    codec.model.save_pretrained(tmp_path / "again/vae")
    assert load(tmp_path / "again").fingerprint == codec.fingerprint


def test_its_facts_need_no_weights_and_are_those_of_the_module(folder: Path) -> None:
    codec = load(folder)
    facts, taken = read_vae_facts(str(folder)), codec_of(codec.model)
    assert (facts.factor, facts.channels) == (codec.factor, codec.channels) == (taken.factor, taken.channels)
    assert torch.equal(taken.latents(PICTURES), codec.latents(PICTURES))
    with pytest.raises(InputError, match="its class is PatchPca"):
        load_vae(str(folder), device="cpu", dtype="float32")


@pytest.mark.parametrize("changes", [{"factor": 8}, {"latent_channels": 3}, {"factor": "4"}, {"factor": None}])
def test_a_config_that_does_not_fit_is_refused(tmp_path: Path, folder: Path, changes: dict[str, object]) -> None:
    config = json.loads((folder / "vae/config.json").read_text()) | changes
    weights = safetensors.torch.load_file(folder / "vae/diffusion_pytorch_model.safetensors")
    safetensors.torch.save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"--vae {tmp_path}"):
        load(tmp_path)
