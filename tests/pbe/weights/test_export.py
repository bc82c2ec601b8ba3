"""What is exported comes back, here and in diffusers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pbe.model.diffusion import predict_noise
from pbe.model.paint_by_example import PaintByExample, dead_tensors
from pbe.weights.building import build_model, build_tower
from pbe.weights.export import export_model
from pbe.weights.misfits import diffusers_misfits
from pbe.weights.reading import read_weights
from pipeline.encoders.clip import load_clip
from pipeline.encoders.vae import load_vae
from pipeline.errors import InputError
from tests.pbe.conftest import CHANNELS, LATENT, clip_config, deprecated, diffusers_encoder, random_model, tiny_config


@pytest.fixture
def tower() -> Any:
    return diffusers_encoder().model


def _assert_same(actual: Any, expected: Any) -> None:
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[key], expected[key]) for key in actual)


def test_exported_folder_predicts_the_same_noise_in_diffusers_pipeline(
    tmp_path: Path, model: PaintByExample, tower: Any, ldm_vae_module: Any
) -> None:
    out = tmp_path / "model"
    layout = export_model(out, model.state_dict(), model.config, vae=ldm_vae_module, tower=tower, weights="ema", step=7)
    pipeline = deprecated.PaintByExamplePipeline.from_pretrained(str(out))

    pixels, noisy, masked = torch.randn(2, 3, 32, 32), *torch.randn(2, 2, CHANNELS, LATENT, LATENT)
    repaint = (torch.rand(2, 1, LATENT, LATENT) < 0.5).float()
    context, uncond = pipeline.image_encoder(pixels, return_uncond_vector=True)
    stacked = torch.cat([noisy, masked, 1 - repaint], dim=1)
    expected = pipeline.unet(stacked, torch.tensor(500), encoder_hidden_states=context).sample

    ours = model.conditioner(tower(pixel_values=pixels).pooler_output)
    actual = predict_noise(model.unet, noisy, torch.tensor(500), ours, masked_latents=masked, masks=repaint)

    assert layout == "diffusers"
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
    assert torch.equal(uncond, model.conditioner.uncond_vector)
    _assert_same(pipeline.vae.state_dict(), ldm_vae_module.state_dict())
    assert pipeline.scheduler.config.skip_prk_steps and pipeline.scheduler.config.steps_offset == 1
    assert pipeline.feature_extractor.crop_size["height"] == 32


def test_diffusers_pipeline_runs_on_the_exported_folder(
    tmp_path: Path, model: PaintByExample, tower: Any, ldm_vae_module: Any
) -> None:
    export_model(
        tmp_path / "model", model.state_dict(), model.config, vae=ldm_vae_module, tower=tower, weights="raw", step=1
    )
    pipeline = deprecated.PaintByExamplePipeline.from_pretrained(str(tmp_path / "model"))
    pipeline.set_progress_bar_config(disable=True)
    image, mask = torch.rand(1, 3, 16, 16) * 2 - 1, torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    latents = pipeline(
        example_image=torch.randn(1, 3, 32, 32),
        image=image,
        mask_image=mask,
        num_inference_steps=2,
        output_type="latent",
    ).images
    assert torch.isfinite(latents).all() and latents.shape == (1, CHANNELS, 8, 8)


@pytest.mark.heavy
@pytest.mark.parametrize("layout", ["diffusers", "pbe"])
def test_every_tensor_comes_back_bit_by_bit(
    tmp_path: Path, model: PaintByExample, tower: Any, ldm_vae_module: Any, layout: Any
) -> None:
    out = tmp_path / "model"
    parts = {"vae": ldm_vae_module, "tower": tower, "encoders": {"vae": "a", "exemplar": "b"}}
    export_model(out, model.state_dict(), model.config, weights="raw", step=30, layout=layout, **parts)

    weights = read_weights(str(out))

    _assert_same(build_model(weights).state_dict(), model.state_dict())
    _assert_same(build_tower(weights).state_dict(), tower.state_dict())
    _assert_same(load_vae(str(out), device="cpu", dtype="float32").model.state_dict(), ldm_vae_module.state_dict())
    if layout == "pbe":
        clip = load_clip(str(out), device="cpu", dtype="float32")
        _assert_same(clip.model.state_dict(), tower.state_dict())
    assert weights.note == json.loads((out / "pbe.json").read_text()) == {
        "format": 1, "layout": layout, "weights": "raw", "step": 30, "bottleneck": True, "encoders": parts["encoders"],
    }  # fmt: skip


def test_dead_weights_are_exported_byte_unchanged_after_training(
    tmp_path: Path, tower: Any, ldm_vae_module: Any, make_batch: Any
) -> None:
    model = random_model(tiny_config())
    before = {key: value.clone() for key, value in model.unet.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.5)
    model(make_batch()).per_sample.mean().backward()
    optimiser.step()
    export_model(
        tmp_path / "m", model.state_dict(), model.config, vae=ldm_vae_module, tower=tower, weights="raw", step=1
    )
    written = load_file(tmp_path / "m" / "unet" / "diffusion_pytorch_model.safetensors")
    dead = [key for key in before if (".norm2." in key and "transformer_blocks" in key) or ".attn2.to_q" in key]
    assert dead and all(torch.equal(written[key], before[key]) for key in dead)
    assert not torch.equal(written["conv_in.weight"], before["conv_in.weight"])


def test_a_model_without_bottleneck_goes_into_our_layout_and_back(
    tmp_path: Path, ldm_vae_module: Any, tower: Any
) -> None:
    model = random_model(tiny_config(bottleneck=False))
    out, parts = tmp_path / "model", {"vae": ldm_vae_module, "tower": tower}
    assert export_model(out, model.state_dict(), model.config, weights="ema", step=1, **parts) == "pbe"
    built = build_model(read_weights(str(out)))
    assert not built.config.bottleneck
    _assert_same(built.state_dict(), model.state_dict())
    with pytest.raises(InputError, match=r"diffusers' layout cannot hold this model: the bottleneck is off"):
        export_model(out, model.state_dict(), model.config, weights="ema", step=1, layout="diffusers", **parts)


def test_a_model_of_other_encoders_goes_into_our_layout(tmp_path: Path, model: PaintByExample) -> None:
    out = tmp_path / "model"
    assert export_model(out, model.state_dict(), model.config, vae=None, tower=None, weights="raw", step=1) == "pbe"
    weights = read_weights(str(out))
    _assert_same(build_model(weights).state_dict(), model.state_dict())
    with pytest.raises(InputError, match=r"holds no exemplar encoder; name one with --exemplar-encoder"):
        build_tower(weights)


def test_a_part_of_a_state_is_not_exported(tmp_path: Path, model: PaintByExample) -> None:
    state = {key: value for key, value in model.state_dict().items() if "conv_in" not in key}
    with pytest.raises(ValueError, match=r"2 missing \(unet.conv_in.bias, unet.conv_in.weight\); gather all shards"):
        export_model(tmp_path / "m", state, model.config, vae=None, tower=None, weights="raw", step=1)
    assert not (tmp_path / "m").exists()


def test_dead_tensors_survive_half_precision(model: PaintByExample) -> None:
    whole, dead = {key: value.clone() for key, value in model.state_dict().items()}, dead_tensors(model)
    rounded = {**model.bfloat16().state_dict(), **dead}
    assert dead and all(torch.equal(rounded[key], whole[key]) for key in dead)


def test_what_does_not_fit_diffusers_layout_is_named(ldm_vae_module: Any) -> None:
    config = tiny_config()
    other = type(diffusers_encoder().model)(clip_config(layers=9))
    assert diffusers_misfits(config, vae=ldm_vae_module, tower=other) == ["CLIP's 9 layers mean 2 mapper blocks, not 1"]
    assert diffusers_misfits(config, vae=torch.nn.Identity(), tower=None) == [
        "the VAE is Identity, not AutoencoderKL",
        "the exemplar encoder is missing, not CLIPVisionModel",
    ]


def test_exporting_again_replaces_the_folder(tmp_path: Path, model: PaintByExample, tower: Any) -> None:
    out = tmp_path / "model"
    for step in (1, 2):
        export_model(out, model.state_dict(), model.config, vae=None, tower=tower, weights="raw", step=step)
    assert json.loads((out / "pbe.json").read_text())["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
