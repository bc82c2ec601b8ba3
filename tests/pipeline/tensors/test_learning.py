"""Whether a network has learned is read off its norms, in any form of file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import InputError
from pipeline.tensors.learning import has_learned, read_norms

Tensors = dict[str, torch.Tensor]


def _network() -> Tensors:
    """A random network of today's torch: only its norms begin at fixed numbers."""
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.GroupNorm(2, 8), torch.nn.BatchNorm2d(8))
    return dict(layers.state_dict())


@pytest.mark.parametrize("moved", ["1.weight", "1.bias", "2.weight", "2.bias"])
def test_one_number_of_one_norm_tells_that_a_network_has_learned(moved: str) -> None:
    tensors = _network()
    assert not has_learned(tensors)
    tensors[moved][3] += 1e-3
    assert has_learned(tensors)


def test_random_layers_and_running_statistics_do_not_count() -> None:
    tensors = _network()
    for name in ("0.weight", "0.bias", "2.running_mean", "2.running_var"):
        tensors[name] = torch.randn_like(tensors[name])
    assert not has_learned(tensors)


def test_without_norms_nothing_is_claimed() -> None:
    assert has_learned({"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(2)})


def _save_shards(tensors: Tensors, folder: Path) -> Path:
    names = {name: f"model-{number:05d}-of-00009.safetensors" for number, name in enumerate(sorted(tensors), start=1)}
    for name, file in names.items():
        save_file({name: tensors[name]}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    return index


def _save_safe(tensors: Tensors, folder: Path) -> Path:
    save_file(tensors, folder / "model.safetensors")
    return folder / "model.safetensors"


def _save_torch(tensors: Tensors, folder: Path) -> Path:
    torch.save(tensors, folder / "model.pt")
    return folder / "model.pt"


@pytest.mark.parametrize("save", [_save_safe, _save_torch, _save_shards])
def test_every_form_of_file_gives_its_norms_alone(save: Callable[[Tensors, Path], Path], tmp_path: Path) -> None:
    tensors = _network()
    norms = read_norms(save(tensors, tmp_path))
    assert not has_learned(norms) and set(norms) == {name for name in tensors if tensors[name].ndim == 1}
    assert has_learned(read_norms(save({**tensors, "1.bias": torch.ones(8)}, tmp_path)))


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    file = _save_safe(_network(), tmp_path)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        read_norms(file)
