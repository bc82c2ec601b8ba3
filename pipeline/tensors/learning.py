"""Learning: tensors of a network -> whether any training has moved its norms."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch

from pipeline.errors import InputError
from pipeline.tensors.reading import read_tensors
from pipeline.tensors.weight_files import INDEX_SUFFIX, SAFE, read_index

_WEIGHT, _BIAS = ".weight", ".bias"


def has_learned(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether any norm has left its first values, 1 and 0, as the first step of any training moves them.

    Norms are known by their form, whatever they are called: nothing else has a weight of one dimension. Without norms
    nothing tells, and the answer is yes.
    """
    scales = [name for name, tensor in tensors.items() if name.endswith(_WEIGHT) and tensor.ndim == 1]
    shifts = [tensors[bias] for scale in scales if (bias := scale.removesuffix(_WEIGHT) + _BIAS) in tensors]
    return not scales or any(bool((tensors[name] != 1).any()) for name in scales) or any(map(_is_moved, shifts))


def read_norms(weights: Path) -> dict[str, torch.Tensor]:
    """Read those tensors of a file, or of the shards of an index, that have one dimension; all norms are among them.

    Raises:
        InputError: it is damaged, incomplete or of another kind.
    """
    if weights.suffix == INDEX_SUFFIX:
        files = sorted(set(read_index(weights).values()))
        return {name: tensor for file in files for name, tensor in read_norms(file).items()}
    if weights.suffix != SAFE:
        return {name: tensor for name, tensor in read_tensors(weights).items() if tensor.ndim == 1}
    try:
        with safetensors.safe_open(weights, framework="pt") as file:
            names = [name for name in file.keys() if len(file.get_slice(name).get_shape()) == 1]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{weights}: is not a complete safetensors file ({error}); copy it again") from error


def _is_moved(tensor: torch.Tensor) -> bool:
    return bool((tensor != 0).any())
