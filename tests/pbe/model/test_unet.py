"""The UNet equals diffusers' on one context token, and its dead parts stay as they were."""

import copy
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.batch import Batch
from pbe.model.conditioner import ConditionerConfig
from pbe.model.guidance import shared_before_context
from pbe.model.paint_by_example import ModelConfig, PaintByExample, count_parameters
from pbe.model.unet import UNET_SIZES, build_unet, compile_unet, keep_channel, unet_config, unet_input
from tests.pbe.conftest import CHANNELS, LATENT, BatchMaker, random_model, tiny_config

_DEAD = re.compile(r"transformer_blocks\.\d+\.(norm2|attn2\.to_[qk])\.|mapper\.blocks\.\d+\.attn1\.to_[qk]\.")


def _dead(name: str) -> bool:
    return _DEAD.search(name) is not None


def _inputs(b: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {
        "sample": torch.randn(b, 2 * CHANNELS + 1, LATENT, LATENT),
        "timestep": torch.tensor([7, 900])[:b],
        "encoder_hidden_states": torch.randn(b, 1, 16),
    }


def _pair() -> tuple[Any, Any]:
    """Ours and stock, same weights."""
    ours = random_model(tiny_config()).unet
    stock = build_unet(tiny_config().unet, one_token=False).eval()
    stock.load_state_dict(ours.state_dict(), strict=True)
    return ours, stock


def test_one_token_prediction_equals_stock() -> None:
    ours, stock = _pair()
    assert list(ours.state_dict()) == list(stock.state_dict())
    torch.testing.assert_close(ours(**_inputs()).sample, stock(**_inputs()).sample, atol=1e-5, rtol=0)


def test_one_token_gradients_equal_stock_and_dead_parts_have_none() -> None:
    ours, stock = _pair()
    for unet in (ours, stock):
        unet(**_inputs()).sample.square().mean().backward()
    expected = {name: p.grad for name, p in stock.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert parameter.requires_grad is not _dead(name), name
        if _dead(name):
            assert parameter.grad is None
            assert expected[name].abs().max() < 1e-6
        else:
            torch.testing.assert_close(parameter.grad, expected[name], atol=1e-5, rtol=1e-4)


@pytest.mark.heavy
@pytest.mark.parametrize("one_token", [True, False])
@settings(max_examples=25)  # each runs the UNet three times
@given(b=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_halves_that_differ_in_context_alone_share_what_comes_before_it(b: int, seed: int, one_token: bool) -> None:
    unet = _pair()[0 if one_token else 1]
    torch.manual_seed(seed)
    inputs = {
        "sample": torch.randn(b, 2 * CHANNELS + 1, LATENT, LATENT).repeat(2, 1, 1, 1),
        "timestep": torch.tensor(seed % 1000),
        "encoder_hidden_states": torch.randn(2 * b, 1 if one_token else 3, 16),
    }
    rows = []
    attention = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    watch = attention.to_q.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    with torch.inference_mode():
        expected = unet(**inputs).sample
        with shared_before_context(unet):
            found = unet(**inputs).sample
        again = unet(**inputs).sample
    watch.remove()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert torch.equal(again, expected)
    assert rows == [2 * b, b, 2 * b]


def test_a_unet_that_begins_without_context_shares_nothing() -> None:
    config = tiny_config().unet | {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    unet = build_unet(config).eval()
    expected = unet(**_inputs()).sample
    with shared_before_context(unet):
        assert torch.equal(unet(**_inputs()).sample, expected)


def test_training_steps_leave_dead_parts_byte_unchanged(make_batch: BatchMaker) -> None:
    model = random_model(tiny_config())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.5)
    for _ in range(2):
        model(make_batch(drop=torch.tensor([True, False, False]))).per_sample.mean().backward()
        optimiser.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == _dead(name), name


@pytest.mark.parametrize("context", [None, torch.zeros(2, 2, 16)])
def test_other_than_one_context_token_is_refused(model: PaintByExample, context: torch.Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"context of [02] tokens .* one_token=False"):
        model.unet(**{**_inputs(), "encoder_hidden_states": context})


def test_without_bottleneck_all_tokens_count_and_nothing_is_dead(make_batch: BatchMaker) -> None:
    model = random_model(tiny_config(bottleneck=False))
    tokens = torch.randn(3, 5, 64)
    never = torch.zeros(3, dtype=torch.bool)
    loss = model(make_batch(exemplars=tokens, drop=never)).per_sample
    loss.sum().backward()
    assert all(p.requires_grad and p.grad is not None and p.grad.abs().max() > 0 for p in model.unet.parameters())
    changed = torch.cat([tokens[:, :4], -tokens[:, 4:]], dim=1)
    assert not torch.equal(loss, model(make_batch(exemplars=changed, drop=never)).per_sample)


@given(st.integers(0, 2**31))
def test_mask_channel_is_keep_and_comes_last(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    noisy, masked = torch.randn(2, 4, 3, 3, generator=g), torch.randn(2, 4, 3, 3, generator=g)
    repaint = torch.rand(2, 1, 3, 3, generator=g)
    stacked = unet_input(noisy, masked, repaint)
    assert torch.equal(stacked[:, :4], noisy) and torch.equal(stacked[:, 4:8], masked)
    torch.testing.assert_close(stacked[:, 8:] + repaint, torch.ones_like(repaint))
    assert keep_channel(torch.ones(1)).item() == 0 and keep_channel(torch.zeros(1)).item() == 1


def test_full_size_has_the_published_parameter_counts() -> None:
    with torch.device("meta"):
        unet = build_unet(unet_config(UNET_SIZES["sd-v1"], latent_channels=4))
    assert unet.config.in_channels == 9
    assert count_parameters(unet) == 859_535_364
    assert count_parameters(unet, dead=True) == 22_000_000


def test_the_demo_model_fits_a_shipped_file() -> None:
    """Its UNet and a mapper block of 256 numbers have at most 5.5 M parameters: 11 MB in fp16."""
    unet = unet_config(UNET_SIZES["demo"], latent_channels=12, latent_size=16)
    with torch.device("meta"):
        model = PaintByExample(ModelConfig(unet, ConditionerConfig(width=256, cross_dim=96, blocks=1)))
    assert 5_000_000 < count_parameters(model) <= 5_500_000


def test_activation_checkpointing_and_channels_last_change_nothing(
    model: PaintByExample, make_batch: BatchMaker
) -> None:
    batch = make_batch()
    plain = _gradients(model.train(), batch)
    model.unet.enable_gradient_checkpointing()
    model.unet.to(memory_format=torch.channels_last)
    for name, gradient in _gradients(model, batch).items():
        torch.testing.assert_close(gradient, plain[name], atol=1e-5, rtol=1e-4)


def test_a_deep_copy_is_independent_and_alike(model: PaintByExample, make_batch: BatchMaker) -> None:
    average, batch = copy.deepcopy(model), make_batch()
    assert torch.equal(average(batch).per_sample, model(batch).per_sample)
    with torch.no_grad():
        model.unet.conv_in.weight.zero_()
    assert not torch.equal(average(batch).per_sample, model(batch).per_sample)


def test_bfloat16_weights_train_with_a_float32_loss(model: PaintByExample, make_batch: BatchMaker) -> None:
    reference = model(make_batch()).per_sample
    losses = model.bfloat16()(make_batch())
    losses.per_sample.mean().backward()
    assert losses.per_sample.dtype == torch.float32
    torch.testing.assert_close(losses.per_sample, reference, atol=0.05, rtol=0.05)


@pytest.mark.slow
def test_unet_is_traced_in_one_graph(model: PaintByExample, make_batch: BatchMaker) -> None:
    model.unet.compile(backend="eager", fullgraph=True)
    _assert_compiled_alike(model, make_batch())


@pytest.mark.slow
def test_compiled_unet_predicts_and_trains_alike(model: PaintByExample, make_batch: BatchMaker) -> None:
    compile_unet(model.unet)
    _assert_compiled_alike(model, make_batch())


def _assert_compiled_alike(model: PaintByExample, batch: Batch) -> None:
    eager = random_model(tiny_config())
    assert list(model.state_dict()) == list(eager.state_dict())
    plain = _gradients(eager, batch)
    for name, gradient in _gradients(model, batch).items():
        torch.testing.assert_close(gradient, plain[name], atol=1e-5, rtol=1e-3)


def _gradients(model: PaintByExample, batch: Batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(batch).per_sample.mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
