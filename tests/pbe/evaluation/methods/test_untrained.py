"""What a method's weights have not learned is said, from their bytes alone, and remembered."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pbe.evaluation.methods.untrained import note_untrained, note_untrained_scripts
from tests.pbe.evaluation.methods.scripts import Fill, write_script


class Network(torch.nn.Module):
    """Large enough to be one, with a norm."""

    def __init__(self, *, trained: bool) -> None:
        super().__init__()
        self.convolve = torch.nn.Conv2d(3, 64, 5)
        self.norm = torch.nn.BatchNorm2d(64)
        with torch.no_grad():
            self.norm.bias += float(trained)

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolve(image)) * mask


def _weights(file: Path, *, trained: bool) -> Path:
    save_file(Network(trained=trained).state_dict(), file)
    return file


def test_only_parts_that_have_learned_nothing_are_named(tmp_path: Path) -> None:
    new, old = (_weights(tmp_path / f"{trained}.safetensors", trained=trained) for trained in (False, True))
    assert note_untrained({"unet": new, "vae": old, "clip": new}, cache="") == ("untrained weights: unet, clip",)
    assert note_untrained({"unet": old, "vae": None}, cache="") == ()


def test_a_trained_mapper_beside_it_does_not_make_a_tower_trained(tmp_path: Path) -> None:
    file, tensors = tmp_path / "model.safetensors", {"mapper.norm.weight": torch.full((8,), 1.5)}
    for first, said in ((1.0, ("untrained weights: CLIP",)), (1.1, ())):
        save_file({**tensors, "model.vision_model.post_layernorm.weight": torch.full((8,), first)}, file)
        assert note_untrained({"CLIP": file}, cache="") == said


def test_what_was_found_is_remembered_until_a_file_changes(tmp_path: Path) -> None:
    file, cache = _weights(tmp_path / "a.safetensors", trained=False), str(tmp_path / "cache")
    said, stamp = note_untrained({"unet": file}, cache=cache), file.stat()
    content = _weights(tmp_path / "b.safetensors", trained=True).read_bytes()
    file.write_bytes(content)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # nobody could tell without reading it
    assert said and note_untrained({"unet": file}, cache=cache) == said
    os.utime(file, ns=(0, stamp.st_mtime_ns + 1))
    assert note_untrained({"unet": file}, cache=cache) == ()


def test_damaged_weights_are_left_to_those_who_load_them(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"torn")
    assert note_untrained({"unet": tmp_path / "a.safetensors"}, cache="") == ()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Fill((0, 0, 0)), ("LaMa: a script of a few operations, not a trained network",)),
        (Network(trained=False), ("untrained weights: LaMa",)),
        (Network(trained=True), ()),
    ],
)
def test_scripts_without_numbers_or_training_are_said_to_be_so(
    module: torch.nn.Module, said: tuple[str, ...], tmp_path: Path
) -> None:
    file = write_script(module.eval(), tmp_path / "lama.pt")
    assert note_untrained_scripts({"LaMa": file}, cache="") == said
    frozen = torch.jit.freeze(torch.jit.load(str(file)))  # type: ignore[no-untyped-call]
    frozen.save(str(file))  # its numbers are constants then, and nothing tells whether they were learned
    assert note_untrained_scripts({"LaMa": file}, cache="") == (said if isinstance(module, Fill) else ())
