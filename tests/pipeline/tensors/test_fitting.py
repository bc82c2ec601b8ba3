"""Tensors that are not finite are refused by name, at a small cost."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.tensors.fitting import is_finite, load_exactly, refuse_not_finite

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)


@given(
    st.sampled_from(DTYPES),
    st.lists(st.sampled_from([0.0, -1.5, 448.0, float("nan"), float("inf"), -float("inf")]), max_size=40),
)
def test_a_tensor_is_finite_exactly_where_all_its_numbers_are(dtype: torch.dtype, numbers: list[float]) -> None:
    tensor = torch.tensor(numbers).to(dtype)
    assert is_finite(tensor) == bool(torch.isfinite(tensor.float()).all())


def test_integers_and_empty_tensors_are_finite() -> None:
    assert is_finite(torch.arange(3)) and is_finite(torch.zeros(0)) and is_finite(torch.tensor([True]))


def test_tensors_that_are_not_finite_are_named_with_their_counts() -> None:
    state = {f"layer{number}": torch.ones(2, 3) for number in range(7)}
    for number in range(6):
        state[f"layer{number}"][0, : number % 3 + 1] = float("nan")
    with pytest.raises(InputError) as error:
        refuse_not_finite(state, "m.ckpt: UNet")
    assert str(error.value).startswith(
        "m.ckpt: UNet: 6 tensors hold numbers that are NaN or infinite (layer0: 1 of 6, layer1: 2 of 6, "
        "layer2: 3 of 6, layer3: 1 of 6 and 2 more); copy the weights again"
    )


def test_a_module_takes_no_weights_that_are_not_finite() -> None:
    module = torch.nn.Linear(2, 1)
    before = module.weight.clone()
    with pytest.raises(InputError, match=r"here: 1 tensors .*\(weight: 1 of 2\)"):
        load_exactly(module, {"weight": torch.tensor([[1.0, float("inf")]]), "bias": torch.zeros(1)}, "here")
    assert module.weight.equal(before)


def test_looking_for_what_is_not_finite_costs_less_than_half_a_second_a_gigabyte() -> None:
    tensor = torch.randn(10_000_000)
    is_finite(tensor)
    began = time.process_time()
    for _ in range(5):
        is_finite(tensor)
    assert (time.process_time() - began) / 5 < 0.5 * tensor.nbytes / 1e9 * 4  # the machine may be busy


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="a torch without packed numbers")
def test_packed_numbers_are_no_weights() -> None:
    packed = torch.zeros(1, 2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    with pytest.raises(InputError, match=r"1 of no usable precision \(weight torch.float4_e2m1fn_x2\)"):
        load_exactly(torch.nn.Linear(2, 1), {"weight": packed, "bias": torch.zeros(1)}, "here")


def test_numbers_that_leave_the_models_precision_are_refused() -> None:
    module = torch.nn.Linear(2, 1)
    wide = {"weight": torch.tensor([[1.0, 1e300]], dtype=torch.float64), "bias": torch.zeros(1)}
    with pytest.raises(InputError, match=r"in the model's precision: 1 tensors .*\(weight: 1 of 2\)"):
        load_exactly(module, wide, "here")
    assert is_finite(module.weight)
