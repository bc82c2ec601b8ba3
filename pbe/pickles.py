"""Pickles: a .ckpt, .bin or .pt of strangers -> its tensors by name. Nothing in the file is imported or called.

`torch.load(weights_only=True)` knows tensors and plain containers. Lightning checkpoints also name classes of their own
(callbacks, configs): those become inert stubs here, found by name only.
"""

import struct
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from pipeline.errors import InputError

_LOADING_ERRORS = (
    UnpicklingError,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)
_DICT_LIKE = ("collections.defaultdict",)


def load_pickled_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a state dict, which may lie under `state_dict` beside other things.

    Raises:
        InputError: the file is no checkpoint, wants what may not be loaded, or holds no tensors.
    """
    loaded = _load_inert(path)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    tensors = {k: v for k, v in state.items() if isinstance(v, torch.Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise InputError(f"{path}: holds no named tensors; give a checkpoint that has a state dict")
    return tensors


class _Stub:
    """Stands in for any class or function that is not a tensor's: takes all arguments, does nothing."""

    def __new__(cls, *_: Any) -> "_Stub":
        return object.__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def _empty_dict(*_: Any) -> dict[Any, Any]:
    """Stand in for dict-like classes, whose items the unpickler adds afterwards."""
    return {}


def _load_inert(path: Path) -> Any:
    try:
        stubs: list[Any] = [(_empty_dict if name in _DICT_LIKE else _Stub, name) for name in _foreign_names(path)]
        with torch.serialization.safe_globals(stubs):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _LOADING_ERRORS as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: cannot be read as tensors ({reason}); give a .safetensors file or one written by torch.save"
        ) from error


def _foreign_names(path: Path) -> list[str]:
    """List the classes and functions that the pickle names besides tensors' own; none for files of torch < 1.6."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except ValueError:
        return []
