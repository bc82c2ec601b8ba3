"""Fingerprints: loaded weights -> a hash; and what else makes equal inputs give equal bits."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import safetensors
import torch

from pipeline.encoders.names import NO_WEIGHTS
from pipeline.errors import InputError

CPU_THREADS = 1  # another number gives other last bits
LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError)


def make_deterministic() -> None:
    """Pin what would let equal inputs give unequal bits: threads and autotuning."""
    torch.set_num_threads(CPU_THREADS)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def refuse_gaps(what: str, missing: Iterable[str]) -> None:
    """Refuse weights that leave parts of the model at random.

    Raises:
        InputError: naming some of the missing tensors.
    """
    gaps = sorted(missing)
    if gaps:
        raise InputError(f"{what}: its weights lack {len(gaps)} tensors ({', '.join(gaps[:3])} ...); {NO_WEIGHTS}")


def fingerprint_of(class_name: str, config: Mapping[str, Any], model: torch.nn.Module, dtype: str) -> str:
    """Hash class, config, precision and every tensor by name."""
    digest = hashlib.sha256(json.dumps([class_name, config, dtype], sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
