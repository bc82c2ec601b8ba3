"""A network in TorchScript paints pictures of any size, or says what is wrong with it."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pbe.evaluation.methods.protocol import CaseError
from pbe.evaluation.methods.scripted import ScriptedPainter, refuse_unscripted
from pipeline.errors import InputError
from tests.pbe.evaluation.methods.opened_cases import opened_case
from tests.pbe.evaluation.methods.scripts import Both, Broken, Fill, Half, write_script

CASE = opened_case(height=13, width=30, mask=np.arange(30)[None].repeat(13, axis=0) > 20)


def painter(file: Path) -> ScriptedPainter:
    return ScriptedPainter(str(file), "LaMa", device="cpu")


def test_pictures_of_any_size_come_back_in_their_size(tmp_path: Path) -> None:
    painted = painter(write_script(Fill((1.0, 0.5, -3.0)), tmp_path / "fill.pt"))(CASE.source, CASE.mask)
    assert painted.dtype == np.uint8 and painted.shape == CASE.source.shape
    assert (painted[CASE.mask] == (255, 128, 0)).all()
    assert np.abs(painted[~CASE.mask] - CASE.source[~CASE.mask] * 0.9).max() <= 0.51


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Broken(), "^LaMa gives numbers that are not finite"),
        (Half(), r"LaMa gives \[1, 3, 8, 16\], not a picture \[1, 3, 16, 32\]"),
        (Both(), "LaMa gives tuple, not a picture"),
    ],
)
def test_what_is_no_picture_fails_the_case(module: torch.nn.Module, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=message):
        painter(write_script(module, tmp_path / "m.pt"))(CASE.source, CASE.mask)


def test_files_that_are_no_torchscript_are_refused_before_they_are_loaded(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt")
    (tmp_path / "torn.pt").write_bytes(write_script(Broken(), tmp_path / "sound.pt").read_bytes()[:-100])
    for name, message in {
        "nowhere.pt": "no such file",
        ".": "no such file",
        "state.pt": "holds weights without code",
        "torn.pt": "is no TorchScript",
    }.items():
        with pytest.raises(InputError, match=f"^LaMa .*{name}: {message}.*give a model saved with torch.jit.save"):
            refuse_unscripted(str(tmp_path / name), "LaMa")
    refuse_unscripted(str(tmp_path / "sound.pt"), "LaMa")


def test_a_file_that_turns_out_damaged_is_named(tmp_path: Path) -> None:
    sound = write_script(Fill((0.0, 0.0, 0.0)), tmp_path / "sound.pt")
    file = tmp_path / "fill.pt"
    with zipfile.ZipFile(sound) as archive, zipfile.ZipFile(file, "w") as torn:
        for name in archive.namelist():
            if not name.endswith("data.pkl"):
                torn.writestr(name, archive.read(name))
    with pytest.raises(InputError, match=r"^LaMa .*fill.pt: cannot be loaded \(.*get it again"):
        painter(file)(CASE.source, CASE.mask)
