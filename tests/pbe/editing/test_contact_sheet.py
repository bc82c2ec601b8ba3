"""The contact sheet of a table: a row a case, and never too many."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.editing import contact_sheet
from pbe.editing.case import Case
from pbe.editing.outputs import Outputs
from pipeline.pictures.tiles import TILE_IN
from pipeline.storage.folder import Folder
from tests.pbe.editing.tiny_model import random_picture, write_pictures


def test_rows_are_bounded_and_inputs_that_are_gone_leave_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_sheet, "MOST_ROWS", 3)
    given = {name: str(path) for name, path in write_pictures(tmp_path / "in").items()}
    outputs = Outputs(Folder(str(tmp_path / "out")), "edited", ".png")
    cases = [Case(name=f"case{number}", table="cases.csv", **given) for number in range(7)]
    for case in cases:
        outputs.write(f"{case.name}.png", random_picture(40, 56))
    cases[2] = replace(cases[2], source="gone.png")

    def draw(chosen: list[Case]) -> np.ndarray:
        name = contact_sheet.write_contact_sheet(outputs, chosen, resolution=16, repaint="white", note="a model")
        return np.asarray(Image.open(tmp_path / "out" / name)).astype(int)

    one, two, three, seven = (draw(cases[:number]) for number in (1, 2, 3, 7))
    row = two.shape[0] - one.shape[0]
    assert row == pytest.approx(100 * TILE_IN, abs=1) and seven.shape == three.shape == (one.shape[0] + 2 * row, 660, 3)
    left, right = three[-200:-60, 60:200], three[-200:-60, 500:640]  # the last row: no source, but the result
    assert left.min() > 250 and right.std() > 20
