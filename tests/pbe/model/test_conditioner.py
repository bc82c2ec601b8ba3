"""The conditioner equals diffusers' encoder behind its CLIP tower."""

import pytest
import torch

from pbe.model.conditioner import Conditioner, ConditionerConfig, mapper_blocks
from pbe.model.paint_by_example import count_parameters
from pipeline.encoders.clip import all_tokens, pooled_token
from tests.pbe.conftest import WIDTH, diffusers_encoder


def _conditioner(*, blocks: int = 1) -> Conditioner:
    torch.manual_seed(0)
    return Conditioner(ConditionerConfig(width=WIDTH, cross_dim=16, blocks=blocks))


def _without_tower(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if not key.startswith("model.")}


@pytest.mark.parametrize("layers", [4, 9])
def test_state_dict_and_outputs_equal_diffusers_encoder(layers: int) -> None:
    theirs = diffusers_encoder(layers=layers)
    ours = _conditioner(blocks=mapper_blocks(layers))
    ours.load_state_dict(_without_tower(theirs.state_dict()), strict=True)
    pixels = torch.randn(3, 3, 32, 32)

    expected, uncond = theirs(pixels, return_uncond_vector=True)
    pooled = pooled_token(theirs.model, pixels)
    actual = ours(pooled)

    assert list(ours.state_dict()) == list(_without_tower(theirs.state_dict()))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.unconditional(actual), uncond.expand_as(actual), atol=0, rtol=0)


def test_trained_gradients_equal_those_of_full_attention() -> None:
    theirs, ours = diffusers_encoder(), _conditioner()
    ours.load_state_dict(_without_tower(theirs.state_dict()))
    pooled = torch.randn(3, WIDTH)

    theirs.proj_out(theirs.final_layer_norm(theirs.mapper(pooled[:, None]))).square().sum().backward()
    ours(pooled).square().sum().backward()

    expected = {name: p.grad for name, p in theirs.named_parameters() if not name.startswith("model.")}
    trained = {name: p for name, p in ours.named_parameters() if p.requires_grad and name != "uncond_vector"}
    assert set(expected) - set(trained) == {
        f"mapper.blocks.0.attn1.to_{x}.{y}" for x in "qk" for y in ("weight", "bias")
    } | {"uncond_vector"}
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-4, rtol=1e-4)


def test_guidance_drop_replaces_exactly_the_dropped_samples() -> None:
    conditioner = _conditioner()
    features, drop = torch.randn(4, WIDTH), torch.tensor([True, False, True, False])
    plain, dropped = conditioner(features), conditioner(features, drop)
    assert torch.equal(dropped[~drop], plain[~drop])
    assert torch.equal(dropped[drop], conditioner.uncond_vector.expand(2, 1, -1))


def test_each_token_is_mapped_as_if_it_were_alone() -> None:
    conditioner, tokens = _conditioner(), torch.randn(2, 5, WIDTH)
    context = conditioner(tokens, torch.tensor([False, True]))
    alone = torch.stack([conditioner(tokens[0, i : i + 1])[0, 0] for i in range(5)])
    assert context.shape == (2, 5, 16)
    torch.testing.assert_close(context[0], alone, atol=1e-6, rtol=0)
    assert torch.equal(context[1], conditioner.uncond_vector[0].expand(5, -1))


def test_first_of_all_tokens_is_the_pooled_vector() -> None:
    tower, pixels = diffusers_encoder().model, torch.randn(2, 3, 32, 32)
    tokens = all_tokens(tower, pixels)
    assert tokens.shape == (2, 17, WIDTH)
    torch.testing.assert_close(tokens[:, 0], pooled_token(tower, pixels))


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 63)])
def test_pixels_and_other_widths_are_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"exemplar features of shape .*\[b, 64\]"):
        _conditioner()(torch.zeros(shape))


def test_full_size_has_the_published_parameter_counts() -> None:
    with torch.device("meta"):
        conditioner = Conditioner(ConditionerConfig(width=1024, cross_dim=768, blocks=mapper_blocks(24)))
    assert count_parameters(conditioner.mapper) == 62_981_120
    assert count_parameters(conditioner, dead=True) == 10_496_000
