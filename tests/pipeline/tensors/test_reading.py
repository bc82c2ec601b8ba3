"""Tensors come from one file or from the shards of an index, complete, or the fault is named."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import InputError
from pipeline.tensors.reading import read_part, read_tensors, write_tensors
from pipeline.tensors.weight_files import find_weights, read_index

INDEX = "model.safetensors.index.json"


def _write(folder: Path, files: dict[str, list[str]], weight_map: Any) -> Path:
    """Write shards that hold these tensors, and an index."""
    folder.mkdir(exist_ok=True)
    for file, names in files.items():
        save_file({name: torch.full((2,), float(ord(name))) for name in names}, folder / file)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return folder


ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
SHARDS = {ONE: ["a", "b"], TWO: ["c"]}
WHERE = {"a": ONE, "b": ONE, "c": TWO}


def test_shards_give_all_their_tensors(tmp_path: Path) -> None:
    found = read_part(_write(tmp_path, SHARDS, WHERE))
    assert {name: value.tolist() for name, value in found.items()} == {name: [ord(name)] * 2 for name in "abc"}


@pytest.mark.parametrize(
    ("files", "weight_map", "message"),
    [
        ({ONE: ["a", "b"]}, WHERE, rf"names {TWO}, which is not there"),
        ({ONE: ["a"], TWO: ["c"]}, WHERE, rf"1 tensors are not where it says, such as b in {ONE}"),
        ({ONE: ["a", "b", "c"], TWO: ["c"]}, WHERE, rf"c lies both in {ONE} and in {TWO}"),
        ({ONE: ["a", "c"], TWO: ["b"]}, WHERE, r"2 tensors are not where it says"),
        (SHARDS, {}, r"has no weight_map"),
        (SHARDS, ["a"], r"has no weight_map"),
        (SHARDS, {"a": 3}, r"names '3', which is not a file of weights beside it"),
        (SHARDS, {"a": "../model.safetensors"}, r"names '../model.safetensors', which is not a file"),
        (SHARDS, {"a": "/etc/passwd"}, r"names '/etc/passwd', which is not a file"),
        (SHARDS, {"a": ".."}, r"names '..', which is not a file"),
        (SHARDS, {"a": ""}, r"names '', which is not a file"),
        (SHARDS, {"a": "sub/model.safetensors"}, r"names 'sub/model.safetensors', which is not a file"),
        (SHARDS, {"a": "model.safetensors\0"}, r"names 'model.safetensors\\x00', which is not a file"),
        (SHARDS, {"a": INDEX}, rf"names '{INDEX}', which is not a file of weights"),
        (SHARDS, {"a": "a" * 5000 + ".safetensors"}, r"names a{120}, which is not there"),
    ],
)
def test_an_index_that_is_wrong_is_refused_by_name(
    tmp_path: Path, files: dict[str, list[str]], weight_map: Any, message: str
) -> None:
    outside = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1)}, outside)
    (tmp_path / "part/sub").mkdir(parents=True)
    save_file({"a": torch.ones(1)}, tmp_path / "part/sub/model.safetensors")
    folder = _write(tmp_path / "part", files, weight_map)
    with pytest.raises(InputError, match=rf"{INDEX}: {message}.*; copy"):
        read_part(folder)


@pytest.mark.parametrize("content", ["{", "[]", "3", "[" * 100_000, "\udc80"])
def test_an_index_that_is_no_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=rf"{INDEX}: (cannot be read as JSON|has no weight_map)"):
        read_index(tmp_path / INDEX)


def test_full_precision_and_safetensors_come_first(tmp_path: Path) -> None:
    order = [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "diffusion_pytorch_model.fp16.safetensors",
        "model.safetensors.index.fp16.json",
        "diffusion_pytorch_model.safetensors.fp16.index.json",
        "pytorch_model.fp16.bin",
        "model.bf16.safetensors",
    ]
    for name in reversed(order):
        (tmp_path / name).touch()
        assert find_weights(tmp_path) == tmp_path / name


def test_tensors_of_another_file_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "optimizer.bin").touch()
    with pytest.raises(
        InputError, match=r"has no weights, such as diffusion_pytorch_model.safetensors or pytorch_model"
    ):
        read_part(tmp_path)
    with pytest.raises(InputError, match=r"a.onnx: ends neither in .safetensors nor in .ckpt"):
        read_tensors(tmp_path / "a.onnx")


def test_tensors_that_share_numbers_are_written_each_with_its_own(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    shared = {"a": whole[:3], "b": whole[:3], "c": whole[2:], "d": torch.zeros(0), "e": torch.zeros(0)}
    write_tensors(tmp_path / "a.safetensors", shared)
    found = read_tensors(tmp_path / "a.safetensors")
    assert {name: value.tolist() for name, value in found.items()} == {k: v.tolist() for k, v in shared.items()}


def test_weights_may_be_read_by_whoever_may_read_other_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(2)})
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode
