"""On a GPU: compiled equals eager, one-token broadcast equals stock, half precision trains, as on the CPU."""

import copy
from collections.abc import Iterator

import pytest
import torch

from pbe.batch import Batch
from pbe.model.paint_by_example import PaintByExample
from pbe.model.unet import UNET_SIZES, build_unet, compile_unet
from tests.pbe.conftest import BatchMaker, random_model, tiny_config

pytestmark = pytest.mark.gpu

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}  # of the norm of the difference by the norm


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    """Without TF32, whose errors would hide others."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture
def small() -> PaintByExample:
    """With the `small` UNet: wide enough for the kernels that compilers choose at full size."""
    return random_model(tiny_config(size=UNET_SIZES["small"])).cuda().train()


@pytest.mark.parametrize(("dtype", "channels_last"), [(torch.float32, False), (torch.bfloat16, True)])
def test_compiled_unet_trains_as_eager(
    small: PaintByExample, make_batch: BatchMaker, dtype: torch.dtype, channels_last: bool
) -> None:
    small = small.to(dtype)
    compiled = copy.deepcopy(small)
    if channels_last:
        compiled.unet.to(memory_format=torch.channels_last)
    torch.compiler.reset()
    compile_unet(compiled.unet)
    batch = make_batch().to("cuda")
    _assert_gradients_close(_gradients(compiled, batch), _gradients(small, batch), TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_one_token_broadcast_equals_stock(small: PaintByExample, dtype: torch.dtype) -> None:
    ours = small.unet.to(dtype)
    stock = build_unet(small.config.unet, one_token=False).to("cuda", dtype).train()
    stock.load_state_dict(ours.state_dict(), strict=True)
    torch.manual_seed(0)
    inputs = torch.randn(2, 9, 16, 16, device="cuda", dtype=dtype), torch.tensor([7, 900], device="cuda")
    context = torch.randn(2, 1, UNET_SIZES["small"].cross_dim, device="cuda", dtype=dtype)
    got, expected = (unet(*inputs, encoder_hidden_states=context).sample for unet in (ours, stock))
    assert _relative(got, expected) < TOLERANCES[dtype]


def test_gradients_equal_those_of_the_cpu(small: PaintByExample, make_batch: BatchMaker) -> None:
    on_cpu, batch = copy.deepcopy(small).cpu(), make_batch()
    expected = {name: gradient.cuda() for name, gradient in _gradients(on_cpu, batch).items()}
    _assert_gradients_close(_gradients(small, batch.to("cuda")), expected, TOLERANCES[torch.float32])


def test_activation_checkpointing_changes_no_gradient(small: PaintByExample, make_batch: BatchMaker) -> None:
    batch = make_batch().to("cuda")
    plain = _gradients(small, batch)
    small.unet.enable_gradient_checkpointing()
    _assert_gradients_close(_gradients(small, batch), plain, TOLERANCES[torch.float32])


def test_bfloat16_steps_lower_the_loss(small: PaintByExample, make_batch: BatchMaker) -> None:
    small, batch = small.bfloat16(), make_batch().to("cuda")
    optimiser = torch.optim.AdamW([p for p in small.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = small(batch).per_sample.mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def _gradients(model: PaintByExample, batch: Batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(batch).per_sample.mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _assert_gradients_close(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    """Compare all gradients together, and those of float32 each by itself, so that one wrong small tensor shows.

    A tensor counts at least as much as a thousandth of the largest: some gradients are zero but for rounding.
    """
    assert got.keys() == expected.keys()
    assert _relative(_flat(got), _flat(expected)) < tolerance
    floor = max(gradient.float().norm() for gradient in expected.values()) / 1000
    for name, gradient in expected.items():
        if gradient.dtype == torch.float32:
            assert (got[name] - gradient).norm() < 10 * tolerance * gradient.norm().clamp(min=floor), name


def _flat(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradients[name].float().flatten() for name in sorted(gradients)])


def _relative(got: torch.Tensor, expected: torch.Tensor) -> float:
    return ((got.float() - expected.float()).norm() / expected.float().norm()).item()
