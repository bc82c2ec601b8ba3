"""A model goes back to the original code: its names are the original's, and reading them again changes nothing."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from pbe.model.conditioner import Conditioner, ConditionerConfig
from pbe.model.paint_by_example import PaintByExample
from pbe.model.schedule import scaled_linear_schedule
from pbe.model.unet import UNET_SIZES, build_unet, unet_config
from pbe.weights.building import SD_V1_VAE, VIT_L_14
from pbe.weights.ldm_buffers import average_to_ldm, schedule_buffers
from pbe.weights.ldm_checkpoint import (
    conditioner_from_ldm,
    conditioner_to_ldm,
    tower_from_ldm,
    tower_to_ldm,
    unet_from_ldm,
    unet_to_ldm,
    vae_from_ldm,
    vae_to_ldm,
    write_checkpoint,
)
from pbe.weights.misfits import original_misfits
from pbe.weights.reading import read_weights
from pipeline.tensors.names import plain_tower
from tests.pbe.conftest import LDM_SIZE, assert_same, diffusers_encoder, random_model, tiny_config
from tests.pbe.weights.ldm_names import Tensors, ldm_conditioner, ldm_unet, ldm_vae
from tests.pbe.weights.original import SCHEDULE, Original, original_tensors


def test_what_is_written_is_read_again_bit_by_bit(ldm_vae_module: Any) -> None:
    model, vae = random_model(tiny_config(size=LDM_SIZE)), ldm_vae_module.state_dict()
    unet, conditioner = model.unet.state_dict(), model.conditioner.state_dict()
    tower = diffusers_encoder().model.state_dict()
    assert_same(unet_from_ldm(unet_to_ldm(unet)), unet)
    assert_same(conditioner_from_ldm(conditioner_to_ldm(conditioner)), conditioner)
    assert_same(vae_from_ldm(vae_to_ldm(vae)), vae)
    assert_same(plain_tower(tower_from_ldm(tower_to_ldm(tower))), plain_tower(tower))


def test_the_names_are_those_of_the_original_code(ldm_vae_module: Any) -> None:
    model, vae = random_model(tiny_config(size=LDM_SIZE)), ldm_vae_module.state_dict()
    assert_same(unet_to_ldm(model.unet.state_dict()), ldm_unet(model.unet.state_dict(), levels=3))
    assert_same(conditioner_to_ldm(model.conditioner.state_dict()), ldm_conditioner(model.conditioner.state_dict()))
    assert_same(vae_to_ldm(vae), ldm_vae(vae))


def test_the_names_of_the_full_size_model_are_those_of_the_original_code() -> None:
    with torch.device("meta"):
        unet = build_unet(unet_config(UNET_SIZES["sd-v1"], latent_channels=4)).state_dict()
        conditioner = Conditioner(ConditionerConfig(width=1024, cross_dim=768, blocks=5)).state_dict()
        vae = diffusers.AutoencoderKL(**SD_V1_VAE).state_dict()
        tower = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VIT_L_14)).state_dict()
    for written, expected in (
        (unet_to_ldm(unet), ldm_unet(unet, levels=4)),
        (conditioner_to_ldm(conditioner), ldm_conditioner(conditioner)),
        (vae_to_ldm(vae), ldm_vae(vae)),
    ):
        assert {k: v.shape for k, v in written.items()} == {k: v.shape for k, v in expected.items()}
    counter = tower_to_ldm(tower)["cond_stage_model.transformer.vision_model.embeddings.position_ids"]
    assert torch.equal(counter, torch.arange(257)[None]) and len(tower_to_ldm(tower)) == len(tower) + 1


def test_a_checkpoint_that_is_written_is_read_as_a_whole_model(tmp_path: Path, ldm_vae_module: Any) -> None:
    model, tower = random_model(tiny_config(size=LDM_SIZE)).half(), diffusers_encoder().model
    encoders = {"vae": ldm_vae_module.state_dict(), "tower": tower.state_dict()}
    write_checkpoint(tmp_path / "new" / "pbe.ckpt", model.state_dict(), step=None, **encoders)
    weights = read_weights(str(tmp_path / "new" / "pbe.ckpt"))
    assert_same(weights.unet, model.unet.state_dict())
    assert_same(weights.conditioner, model.conditioner.state_dict())
    assert_same(weights.vae, encoders["vae"])
    assert_same(weights.tower, plain_tower(encoders["tower"]))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pbe.ckpt"]


@pytest.fixture(scope="module")
def parts(ldm_vae_module: Any) -> dict[str, Any]:
    """A tiny model of the original code's kind, its average, and encoders; in half precision."""
    raw, average = (random_model(tiny_config(size=LDM_SIZE), seed=seed).half() for seed in (0, 1))
    tower = diffusers_encoder().model.half().state_dict()
    return {"raw": raw, "average": average, "vae": ldm_vae_module.state_dict(), "tower": tower}


@pytest.fixture(scope="module")
def expected(parts: dict[str, Any]) -> Tensors:
    raw, tower = parts["raw"], plain_tower(parts["tower"])
    return original_tensors(raw.unet.state_dict(), raw.conditioner.state_dict(), parts["vae"], tower, levels=3)


def _write(path: Path, parts: dict[str, Any], **average: Any) -> dict[str, Any]:
    encoders = {name: parts[name] for name in ("vae", "tower")}
    write_checkpoint(path, parts["raw"].state_dict(), step=9, **encoders, **average)
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def test_the_original_class_loads_what_is_written_strictly(
    tmp_path: Path, parts: dict[str, Any], expected: Tensors
) -> None:
    content = _write(tmp_path / "raw.ckpt", parts)
    original = Original(expected, use_ema=False)
    original.load_state_dict(content["state_dict"], strict=True)
    assert content.keys() == {"state_dict", "global_step"} and content["global_step"] == 9
    loaded = original.state_dict()
    assert_same(loaded, {**expected, **{name: loaded[name] for name in SCHEDULE}})
    with pytest.raises(RuntimeError, match="Missing key"):
        Original(expected, use_ema=True).load_state_dict(content["state_dict"], strict=True)


def test_the_original_class_finds_the_average_where_it_keeps_one(
    tmp_path: Path, parts: dict[str, Any], expected: Tensors
) -> None:
    path, average = tmp_path / "both.ckpt", parts["average"]
    content = _write(path, parts, average=average.state_dict(), counts={"decay": 0.5, "updates": 7})
    original = Original(expected, use_ema=True)
    original.load_state_dict(content["state_dict"], strict=True)
    averaged = {f"model.{name}": value for name, value in original.ema_scope().items()}
    assert_same(averaged, ldm_unet(average.unet.state_dict(), levels=3))
    assert (float(original.model_ema.decay), int(original.model_ema.num_updates)) == (0.5, 7)
    raw, ema = read_weights(str(path), choice="raw"), read_weights(str(path), choice="ema")
    for weights, model in ((raw, parts["raw"]), (ema, average)):
        assert_same(weights.unet, model.unet.state_dict())
        assert_same(weights.conditioner, model.conditioner.state_dict())
    assert (raw.note, ema.note) == (
        {"weights": "raw"},
        {"weights": "ema", "average": {"decay": 0.5, "updates": 7}},
    )
    assert ema.taken == "weights: moving average; the raw ones lie beside it, which --weights raw takes"


def test_an_average_of_unknown_making_is_one_that_the_original_code_goes_on_with_at_its_full_decay() -> None:
    named = average_to_ldm({"model.diffusion_model.out.2.bias": torch.ones(4)}, {})
    assert named.keys() == {"model_ema.decay", "model_ema.num_updates", "model_ema.diffusion_modelout2bias"}
    assert (named["model_ema.decay"].item(), named["model_ema.num_updates"].item()) == (pytest.approx(0.9999), -1)
    assert (named["model_ema.decay"].dtype, named["model_ema.num_updates"].dtype) == (torch.float32, torch.int32)


def test_the_schedules_buffers_are_those_of_ddpm() -> None:
    buffers = schedule_buffers()
    assert buffers.keys() == set(SCHEDULE)
    assert {(tuple(values.shape), values.dtype) for values in buffers.values()} == {((1000,), torch.float32)}
    assert torch.equal(buffers["alphas_cumprod"], scaled_linear_schedule().alphas_cumprod)
    named = {name: values.double() for name, values in buffers.items()}
    kept, before = named["alphas_cumprod"], named["alphas_cumprod_prev"]
    assert before[0] == 1 and torch.equal(before[1:], kept[:-1])
    alphas = 1 - named["betas"]
    same = partial(torch.testing.assert_close, rtol=2e-4, atol=1e-7)  # of numbers that were rounded to float32
    same(named["betas"][[0, -1]], torch.tensor([0.00085, 0.012], dtype=torch.float64))
    same(named["sqrt_alphas_cumprod"] ** 2, kept)
    same(named["sqrt_one_minus_alphas_cumprod"] ** 2, 1 - kept)
    same(named["log_one_minus_alphas_cumprod"].exp(), 1 - kept)
    same(named["sqrt_recip_alphas_cumprod"] ** -2, kept)
    same(named["sqrt_recipm1_alphas_cumprod"] ** 2, 1 / kept - 1)
    # The product of two normal densities of x_{t-1}, given x_t and given x_0: precisions add up.
    variance = named["posterior_variance"]
    same(1 / variance[1:], 1 / (1 - before[1:]) + alphas[1:] / named["betas"][1:])
    same(named["posterior_mean_coef1"][1:], variance[1:] * before[1:].sqrt() / (1 - before[1:]))
    same(named["posterior_mean_coef2"][1:], variance[1:] * alphas[1:].sqrt() / named["betas"][1:])
    assert (variance[0], named["posterior_mean_coef1"][0], named["posterior_mean_coef2"][0]) == (0, 1, 0)
    same(named["posterior_log_variance_clipped"][1:], variance[1:].log())
    assert buffers["posterior_log_variance_clipped"][0] == torch.tensor(1e-20, dtype=torch.float64).log().float()


def test_parts_of_other_sizes_and_another_prediction_are_named(model: PaintByExample, ldm_vae_module: Any) -> None:
    model.config = replace(model.config, prediction="v")
    assert original_misfits(model, vae=ldm_vae_module, tower=diffusers_encoder().model) == [
        "it predicts velocities (v), the original code only noise",
        "the UNet has other tensors than Stable Diffusion v1's",
        "the conditioner has other tensors than Paint by Example's",
        "the VAE has other tensors than Stable Diffusion v1's",
        "the CLIP vision tower has other tensors than ViT-L/14's",
    ]
