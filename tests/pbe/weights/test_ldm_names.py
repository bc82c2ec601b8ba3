"""Names of the original code: every tensor of the full-size models finds its place, as diffusers' converters say."""

from typing import Any

import diffusers
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

from pbe.model.conditioner import Conditioner, ConditionerConfig
from pbe.model.paint_by_example import PaintByExample
from pbe.model.unet import UNET_SIZES, build_unet, unet_config
from pbe.weights.building import SD_V1_VAE
from pbe.weights.ldm_checkpoint import conditioner_from_ldm, tower_from_ldm, unet_from_ldm, vae_from_ldm
from pbe.weights.ldm_names import conditioner_pairs, unet_pairs, vae_pairs
from tests.pbe.conftest import LDM_SIZE, random_model, tiny_config
from tests.pbe.weights.ldm_names import ldm_conditioner, ldm_unet, ldm_vae

PREFIX = "model.diffusion_model."


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in state.items()}


def test_full_size_unet_is_covered_both_ways() -> None:
    with torch.device("meta"):
        state = build_unet(unet_config(UNET_SIZES["sd-v1"], latent_channels=4)).state_dict()
    renamed = ldm_unet(state, levels=4)
    assert len(renamed) == 686
    assert renamed[f"{PREFIX}output_blocks.5.2.conv.weight"].shape == (1280, 1280, 3, 3)
    assert _shapes(unet_from_ldm(renamed)) == _shapes(state)


def test_full_size_conditioner_is_covered_both_ways() -> None:
    with torch.device("meta"):
        state = Conditioner(ConditionerConfig(width=1024, cross_dim=768, blocks=5)).state_dict()
    assert _shapes(conditioner_from_ldm(ldm_conditioner(state))) == _shapes(state)


def test_full_size_vae_is_covered_both_ways() -> None:
    with torch.device("meta"):
        state = diffusers.AutoencoderKL(**SD_V1_VAE).state_dict()
    assert _shapes(vae_from_ldm(ldm_vae(state))) == _shapes(state)


def test_unet_tensors_go_where_diffusers_converter_puts_them() -> None:
    config = tiny_config(size=LDM_SIZE)
    state = random_model(config).unet.state_dict()
    renamed = ldm_unet(state, levels=3)
    theirs = convert_ldm_unet_checkpoint(dict(renamed), dict(config.unet))
    _assert_same(unet_from_ldm(renamed), theirs)
    _assert_same(theirs, state)


def test_vae_tensors_go_where_diffusers_converter_puts_them(ldm_vae_module: Any) -> None:
    state = ldm_vae_module.state_dict()
    renamed = ldm_vae(state)
    theirs = convert_ldm_vae_checkpoint(dict(renamed), dict(ldm_vae_module.config))
    _assert_same(vae_from_ldm(renamed), theirs)
    _assert_same(theirs, state)


def test_conditioner_keeps_queries_keys_and_values_apart(model: PaintByExample) -> None:
    state = model.conditioner.state_dict()
    _assert_same(conditioner_from_ldm(ldm_conditioner(state)), state)


def test_stable_diffusion_has_neither_conditioner_nor_vision_tower() -> None:
    text = {"cond_stage_model.transformer.text_model.embeddings.position_ids": torch.zeros(1)}
    assert conditioner_from_ldm(text) == {} and tower_from_ldm(text) == {}


def test_no_name_stands_twice_in_a_table_on_either_side() -> None:
    for pairs in (list(unet_pairs()), list(vae_pairs(4)), list(conditioner_pairs("01234"))):
        originals, diffusers_names = zip(*pairs, strict=True)
        assert len(set(originals)) == len(set(diffusers_names)) == len(pairs)


@pytest.mark.parametrize(
    "key", ["label_emb.0.0.weight", "input_blocks.1.2.weight", "middle_block.3.weight", "output_blocks.x.0.weight"]
)
def test_a_tensor_without_a_place_is_named(key: str) -> None:
    with pytest.raises(ValueError, match=rf"{key} has no place"):
        unet_from_ldm({PREFIX + key: torch.zeros(1)})


def _assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[key], expected[key]) for key in actual)


def test_a_stack_that_is_not_of_three_is_named() -> None:
    key = "cond_stage_model.mapper.resblocks.0.attn.c_qkv.weight"
    state = {"learnable_vector": torch.zeros(1, 1, 4), key: torch.zeros(4, 4)}
    with pytest.raises(ValueError, match=r"c_qkv.weight of shape \[4, 4\] does not hold queries, keys and values"):
        conditioner_from_ldm(state)
