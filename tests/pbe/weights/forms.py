"""Forms in which weights are published: tensors of a part of a model -> files, named as the libraries name them."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensors = Mapping[str, torch.Tensor]

# Form -> variant, ending, whether it is cut into shards, whether the shards' names are those of diffusers before 0.30.
FORMS = {
    "safetensors": ("", ".safetensors", False, False),
    "sharded safetensors": ("", ".safetensors", True, False),
    "bin": ("", ".bin", False, False),
    "sharded bin": ("", ".bin", True, False),
    "fp16 safetensors": (".fp16", ".safetensors", False, False),
    "sharded fp16 safetensors": (".fp16", ".safetensors", True, False),
    "sharded fp16 safetensors, older names": (".fp16", ".safetensors", True, True),
    "sharded fp16 bin": (".fp16", ".bin", True, False),
}


def write_part(folder: Path, tensors: Tensors, form: str) -> None:
    """Write tensors in a form, next to the config that is there."""
    variant, suffix, sharded, older = FORMS[form]
    stem = "diffusion_pytorch_model" if "_class_name" in json.loads((folder / "config.json").read_text()) else "model"
    stem = "pytorch_model" if stem == "model" and suffix == ".bin" else stem
    state = {name: value.half() if variant and value.is_floating_point() else value for name, value in tensors.items()}
    if not sharded:
        _save(folder / f"{stem}{variant}{suffix}", state)
        return
    names, files = list(state), {}
    for number, own in enumerate((names[::2], names[1::2]), start=1):
        counted = f"-{number:05d}-of-00002"
        file = f"{stem}{counted}{variant}{suffix}" if older else f"{stem}{variant}{counted}{suffix}"
        _save(folder / file, {name: state[name] for name in own})
        files |= dict.fromkeys(own, file)
    index = f"{stem}{suffix}{variant}.index.json" if older else f"{stem}{suffix}.index{variant}.json"
    (folder / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))


def rewrite_part(folder: Path, form: str) -> None:
    """Replace the one safetensors file of a folder by another form of it."""
    (path,) = folder.glob("*.safetensors")
    tensors = load_file(path)
    path.unlink()
    write_part(folder, tensors, form)


def _save(path: Path, state: Tensors) -> None:
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path, metadata={"format": "pt"})
    else:
        torch.save(dict(state), path)
