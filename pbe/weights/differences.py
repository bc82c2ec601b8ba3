"""Differences: a module and a state dict -> the tensors that do not fit; a state dict that fits -> into the module."""

from collections.abc import Iterable

from torch import nn

from pbe.weights.tensor_names import Tensors
from pipeline.errors import InputError

_NAMED = 4  # tensors that an error lists


def differences(module: nn.Module, state: Tensors) -> list[str]:
    """Describe which tensors of a state dict are missing, unexpected or of another kind for the module; empty: none."""
    expected = module.state_dict()
    return [
        *_listed("missing", expected.keys() - state.keys()),
        *_listed("unexpected", state.keys() - expected.keys()),
        *_listed("of another shape", _misshapen(expected, state)),
        *_listed("of integers", _integers(expected, state)),
    ]


def refuse_differences(module: nn.Module, state: Tensors, what: str) -> None:
    """Refuse a state dict that does not cover the module, no more and no less.

    Raises:
        InputError: naming what is missing, unexpected or of another kind.
    """
    faults = differences(module, state)
    if faults:
        raise InputError(
            f"{what} does not fit this model: {'; '.join(faults)}. Weights and model must have equal sizes"
        )


def load_exactly(module: nn.Module, state: Tensors, what: str) -> None:
    """Copy a state dict that must cover the module into it, cast to its precision.

    Raises:
        InputError: see `refuse_differences`.
    """
    refuse_differences(module, state, what)
    module.load_state_dict(dict(state))


def adopt(module: nn.Module, state: Tensors, what: str) -> None:
    """Make the tensors of a state dict that must cover the module its own: nothing is copied or cast.

    Raises:
        InputError: see `refuse_differences`.
    """
    refuse_differences(module, state, what)
    module.load_state_dict(dict(state), assign=True)


def _misshapen(expected: Tensors, state: Tensors) -> list[str]:
    return [
        f"{key} {tuple(state[key].shape)} for {tuple(expected[key].shape)}"
        for key in expected.keys() & state.keys()
        if state[key].shape != expected[key].shape
    ]


def _integers(expected: Tensors, state: Tensors) -> list[str]:
    return [
        f"{key} {state[key].dtype}"
        for key in expected.keys() & state.keys()
        if expected[key].is_floating_point() and not state[key].is_floating_point()
    ]


def _listed(what: str, names: Iterable[str]) -> list[str]:
    names = sorted(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{len(names)} {what} ({', '.join(names[:_NAMED])}{more})"] if names else []
