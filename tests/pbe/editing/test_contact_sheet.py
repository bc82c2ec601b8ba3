"""The contact sheet of a table: a row a case, and never too many."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.editing import contact_sheet
from pbe.editing.canvas import crop_for_editing
from pbe.editing.case import Case
from pbe.editing.outputs import Outputs
from pipeline.pictures.tiles import DPI, NOTE_IN, TILE_IN, TITLE_IN
from pipeline.storage.folder import Folder
from tests.pbe.editing.tiny_model import random_picture, write_pictures


def test_rows_are_bounded_and_lost_pictures_leave_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_sheet, "MOST_ROWS", 3)
    given = {name: str(path) for name, path in write_pictures(tmp_path / "in").items()}
    outputs = Outputs(Folder(str(tmp_path / "out")), "edited", ".png")
    cases = [Case(name=f"case{number}", table="cases.csv", **given) for number in range(7)]
    for case in cases:
        outputs.write(f"{case.name}.png", random_picture(40, 56))
    cases[2] = replace(cases[2], source="gone.png")
    (tmp_path / "out/case1.png").write_bytes(b"torn")

    crop_of = partial(crop_for_editing, resolution=16)

    def draw(chosen: list[Case]) -> np.ndarray:
        name = contact_sheet.write_contact_sheet(outputs, chosen, crop_of=crop_of, repaint="white", note="a model")
        return np.asarray(Image.open(tmp_path / "out" / name)).astype(int)

    three, seven = draw(cases[:3]), draw(cases)
    assert three.shape == seven.shape == (round(DPI * (TITLE_IN + 3 * TILE_IN + NOTE_IN)), round(3 * DPI * TILE_IN), 3)
    assert three[260:400, 500:640].min() > 250  # the second row: no result
    left, right = three[-200:-60, 60:200], three[-200:-60, 500:640]  # the last row: no source, but the result
    assert left.min() > 250 and right.std() > 20
