"""Fitting: a module and tensors -> what does not fit, or is not finite; tensors that do -> into the module."""

from collections.abc import Iterable

import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.tensors.names import Tensors

_NAMED = 4  # tensors that an error lists
_PACKED = {getattr(torch, "float4_e2m1fn_x2", None)}  # two numbers a byte, which torch computes nothing with


def differences(module: nn.Module, state: Tensors) -> list[str]:
    """Describe which tensors of a state dict are missing, unexpected or of another kind for the module; empty: none."""
    return differences_from(module.state_dict(), state)


def differences_from(expected: Tensors, state: Tensors) -> list[str]:
    """Describe the same for the tensors that are expected, whose numbers do not matter: they may be on `meta`."""
    return [
        *_listed("missing", expected.keys() - state.keys()),
        *_listed("unexpected", state.keys() - expected.keys()),
        *_listed("of another shape", _misshapen(expected, state)),
        *_listed("of no usable precision", _unusable(expected, state)),
    ]


def refuse_differences(module: nn.Module, state: Tensors, what: str) -> None:
    """Refuse a state dict that does not cover the module, no more and no less, with finite numbers.

    Raises:
        InputError: naming what is missing, unexpected, of another kind or not finite.
    """
    faults = differences(module, state)
    if faults:
        raise InputError(
            f"{what} does not fit this model: {'; '.join(faults)}. Weights and model must have equal sizes"
        )
    refuse_not_finite(state, what)


def refuse_not_finite(state: Tensors, what: str) -> None:
    """Refuse tensors that hold NaN or infinity, at the cost of reading them once: 0.1 s a GB on one CPU core.

    Raises:
        InputError: naming the first of them.
    """
    faults = [name for name, tensor in state.items() if not is_finite(tensor)]
    if faults:
        named = ", ".join(f"{name}: {_count(state[name]):,} of {state[name].numel():,}" for name in faults[:_NAMED])
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise InputError(
            f"{what}: {len(faults)} tensors hold numbers that are NaN or infinite ({named}{more}); copy the weights "
            "again, or take those of an earlier step"
        )


def refuse_overflow(rounded: Tensors, what: str, *, remedy: str) -> None:
    """Refuse tensors, finite before, that a smaller precision cannot hold.

    Args:
        what: the flag and the part.
        remedy: other values of the flag.

    Raises:
        InputError: naming them.
    """
    if not all(map(is_finite, rounded.values())):
        raise InputError(f"{what} holds numbers that are not finite in it; {remedy}")


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all numbers of a tensor are finite; through least and largest, which take NaN along."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    least, largest = torch.aminmax(tensor if tensor.element_size() > 1 else tensor.float())
    return bool(torch.isfinite(least) & torch.isfinite(largest))


def load_exactly(module: nn.Module, state: Tensors, what: str) -> None:
    """Copy a state dict that must cover the module into it, cast to its precision.

    Raises:
        InputError: see `refuse_differences`.
    """
    refuse_differences(module, state, what)
    expected = module.state_dict()
    # What is finite in float64 need not be in the module's precision.
    wide = {name: value.to(expected[name].dtype) for name, value in state.items() if _is_wider(value, expected[name])}
    refuse_not_finite(wide, f"{what} in the model's precision")
    module.load_state_dict(dict(state))


def adopt(module: nn.Module, state: Tensors, what: str) -> None:
    """Make the tensors of a state dict that must cover the module its own: nothing is copied or cast.

    Raises:
        InputError: see `refuse_differences`.
    """
    refuse_differences(module, state, what)
    module.load_state_dict(dict(state), assign=True)


def _count(tensor: torch.Tensor) -> int:
    return int((~torch.isfinite(tensor.float())).sum())


def _is_wider(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a tensor's precision reaches beyond that of the other one."""
    return other.is_floating_point() and torch.finfo(tensor.dtype).max > torch.finfo(other.dtype).max


def _misshapen(expected: Tensors, state: Tensors) -> list[str]:
    return [
        f"{key} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
        for key in expected.keys() & state.keys()
        if state[key].shape != expected[key].shape
    ]


def _unusable(expected: Tensors, state: Tensors) -> list[str]:
    return [
        f"{key} {state[key].dtype}"
        for key in expected.keys() & state.keys()
        if expected[key].is_floating_point() and (not state[key].is_floating_point() or state[key].dtype in _PACKED)
    ]


def _listed(what: str, names: Iterable[str]) -> list[str]:
    names = sorted(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{len(names)} {what} ({', '.join(names[:_NAMED])}{more})"] if names else []
