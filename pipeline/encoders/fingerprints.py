"""Fingerprints: loaded weights -> a hash; and what else makes equal inputs give equal bits."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from pipeline.tensors.names import Tensors

CPU_THREADS = 1  # another number gives other last bits
_VOLATILE = ("transformers_version", "architectures", "dtype", "torch_dtype")


def make_deterministic() -> None:
    """Pin what would let equal inputs give unequal bits: threads and autotuning."""
    torch.set_num_threads(CPU_THREADS)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def fingerprint_of(class_name: str, config: Mapping[str, Any], model: torch.nn.Module, dtype: str) -> str:
    """Hash class, config, precision and every tensor by name."""
    return fingerprint_tensors(class_name, config, model.state_dict(), dtype)


def fingerprint_tensors(class_name: str, config: Mapping[str, Any], tensors: Tensors, dtype: str) -> str:
    """Hash the same of a model that has not been built."""
    digest = hashlib.sha256(json.dumps([class_name, config, dtype], sort_keys=True, default=str).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def lasting(config: Mapping[str, Any]) -> dict[str, Any]:
    """Take what a transformers config says of its model, without what says who saved it how."""
    return {key: value for key, value in config.items() if not key.startswith("_") and key not in _VOLATILE}
