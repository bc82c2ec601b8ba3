"""A model goes back to the original code: its names are the original's, and reading them again changes nothing."""

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from pbe.model.conditioner import Conditioner, ConditionerConfig
from pbe.model.paint_by_example import PaintByExample
from pbe.model.unet import UNET_SIZES, build_unet, unet_config
from pbe.weights.building import SD_V1_VAE, VIT_L_14
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
from tests.pbe.weights.ldm_names import ldm_conditioner, ldm_unet, ldm_vae


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


def test_parts_of_other_sizes_are_named(model: PaintByExample, ldm_vae_module: Any) -> None:
    assert original_misfits(model, vae=ldm_vae_module, tower=diffusers_encoder().model) == [
        "the UNet has other tensors than Stable Diffusion v1's",
        "the conditioner has other tensors than Paint by Example's",
        "the VAE has other tensors than Stable Diffusion v1's",
        "the CLIP vision tower has other tensors than ViT-L/14's",
    ]
