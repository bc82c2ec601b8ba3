"""Painting: step by step, one visitor at a time, and to the bit what `pbe.edit` makes of the download."""

import shlex
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pbe.edit import main as edit
from pbe.editing.finished import read_finished
from pbe.painting.painter import Painted, Painter, Seen, Stopped
from pipeline.errors import InputError
from tests.pbe.painting.conftest import MakeAsked


def _paint(painter: Painter, asked: object, folder: Path) -> tuple[list[Seen], Painted]:
    folder.mkdir()
    *seen, painted = painter.paint(asked, folder)  # type: ignore[arg-type]
    assert isinstance(painted, Painted) and all(isinstance(step, Seen) for step in seen)
    return seen, painted  # type: ignore[return-value]


def test_the_command_of_a_download_makes_the_same_pictures_bit_for_bit(
    painter: Painter, ask: MakeAsked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, painted = _paint(painter, ask(pictures=2), tmp_path / "work")
    assert [(step.step, step.steps) for step in seen] == [(1, 2), (2, 2)]
    assert seen[0].previews and [picture.shape for picture in seen[0].previews] == [(40, 56, 3)] * 2
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(painted.download) as archive:
        archive.extractall(unpacked)
    pictures = ["edited-g3-s5.png", "edited-g3-s6.png"]
    inputs = ["source.png", "mask.png", "exemplar.png", "cases.csv"]
    assert {file.name for file in unpacked.iterdir()} == {*pictures, *inputs, "edited.json"}

    monkeypatch.chdir(unpacked)
    assert edit(shlex.split(painted.command)[3:]) == 0
    for name in pictures:
        again = Image.open(name.replace("edited", "edited-again"))
        assert np.array_equal(np.asarray(Image.open(name)), np.asarray(again))

    record = read_finished(Path("edited.json").read_bytes(), "edited.json")
    assert (record.case.guidance, record.case.seeds, record.case.mask) == ((3.0,), (5, 6), "mask.png")
    assert record.settings["steps"] == 2 and record.lineage["table"] == "cases.csv"


def test_visitors_at_once_get_what_each_asked_for(painter: Painter, ask: MakeAsked, tmp_path: Path) -> None:
    asked = [ask(name=str(number), seed_of_pictures=10 * number, seed=number) for number in range(3)]
    alone = [_paint(painter, each, tmp_path / f"alone-{n}")[1].download.read_bytes() for n, each in enumerate(asked)]
    with ThreadPoolExecutor(3) as pool:
        at_once = pool.map(lambda n: _paint(painter, asked[n], tmp_path / f"at-once-{n}")[1], range(3))
        assert [painted.download.read_bytes() for painted in at_once] == alone
    assert len(set(alone)) == 3


def test_a_visitor_who_leaves_stops_the_painting_and_keeps_nobody_waiting(
    painter: Painter, ask: MakeAsked, tmp_path: Path
) -> None:
    (tmp_path / "left").mkdir()
    leaving = painter.paint(ask(steps=100), tmp_path / "left")
    next(leaving)
    leaving.close()  # type: ignore[attr-defined]
    _paint(painter, ask(name="next"), tmp_path / "next")
    assert not list((tmp_path / "left").glob("edited*"))


def test_nothing_stays_of_a_painting_whose_visitor_left_after_its_last_step(
    painter: Painter, ask: MakeAsked, tmp_path: Path
) -> None:
    folder = tmp_path / "left"
    folder.mkdir()
    leaving = painter.paint(ask(steps=1), folder)
    next(leaving)
    leaving.close()  # type: ignore[attr-defined]
    shutil.rmtree(folder)  # as the page does
    _paint(painter, ask(name="next", steps=1), tmp_path / "next")  # waits until the other has ended
    assert not folder.exists()


def test_numbers_that_are_not_finite_are_one_line_and_no_picture(
    painter: Painter, ask: MakeAsked, tmp_path: Path
) -> None:
    unet = painter._editor.parts.model.unet
    bias = unet.conv_out.bias.detach().clone()
    (tmp_path / "work").mkdir()
    try:
        with torch.no_grad():
            unet.conv_out.bias.fill_(torch.nan)
        with pytest.raises(InputError, match="UNet") as refused:
            list(painter.paint(ask(), tmp_path / "work"))
    finally:
        with torch.no_grad():
            unet.conv_out.bias.copy_(bias)
    assert "\n" not in str(refused.value) and not list((tmp_path / "work").glob("edited*"))


def test_a_page_that_ends_stops_what_is_being_painted(painter: Painter, ask: MakeAsked, tmp_path: Path) -> None:
    ending = Painter(painter._editor, replace(painter._base))
    (tmp_path / "work").mkdir()
    painting = ending.paint(ask(steps=100), tmp_path / "work")
    next(painting)
    ending.end()
    with pytest.raises(Stopped):
        list(painting)


def test_a_page_that_has_ended_begins_no_painting(painter: Painter, ask: MakeAsked, tmp_path: Path) -> None:
    ended = Painter(painter._editor, replace(painter._base))
    ended.end()
    (tmp_path / "work").mkdir()
    with pytest.raises(Stopped):
        list(ended.paint(ask(), tmp_path / "work"))
    assert not list(tmp_path.glob("work/*"))
