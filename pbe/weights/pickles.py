"""Pickles: a .ckpt, .bin or .pt that nobody vouches for -> its tensors by name. Nothing in it is imported or called.

`torch.load(weights_only=True)` knows tensors and plain containers. Lightning checkpoints also name classes of their own
(callbacks, configs): here those become inert stubs, looked up by name only.
"""

import re
import struct
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from pipeline.errors import InputError

_LOADING_ERRORS = (
    AssertionError,
    MemoryError,
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
        InputError: the file is not a checkpoint, wants what is not safe to load, or holds no tensors.
    """
    loaded = _load_inert(path)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    named = state.items() if isinstance(state, dict) else ()
    tensors = {key: value for key, value in named if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if not tensors:
        raise InputError(f"{path}: holds no named tensors; give a checkpoint that has a state dict")
    return tensors


class _Stub:
    """Takes the place of any class or function that does not belong to tensors: accepts all arguments, does nothing."""

    def __new__(cls, *_: Any) -> "_Stub":
        return object.__new__(cls)

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def _empty_dict(*_: Any) -> dict[Any, Any]:
    """Take the place of dict-like classes, whose items the unpickler adds afterwards."""
    return {}


def _load_inert(path: Path) -> Any:
    try:
        stubs: list[Any] = [(_empty_dict if name in _DICT_LIKE else _Stub, name) for name in _foreign_names(path)]
        with torch.serialization.safe_globals(stubs), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch asks to report unusual files to its authors
            return torch.load(path, map_location="cpu", weights_only=True)
    except _LOADING_ERRORS as error:
        raise InputError(
            f"{path}: cannot be read as tensors ({_reason(error)}); give a .safetensors file or a state dict of plain "
            "tensors written by torch.save"
        ) from error


def _reason(error: Exception) -> str:
    """Describe what is wrong in our own words: torch's advise loading the file without its checks."""
    text = str(error).strip()
    if match := re.search(r"unsupported GLOBAL (\S+)", text):
        return f"it wants {match[1]}, which is not safe to load"
    if isinstance(error, UnpicklingError) or "weights_only" in text:
        return "it is not a pickle, or holds more than tensors"
    return text.splitlines()[0] if text else type(error).__name__


def _foreign_names(path: Path) -> list[str]:
    """List the classes and functions that the pickle names besides tensors' own; none for files of torch < 1.6."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except ValueError:
        return []
