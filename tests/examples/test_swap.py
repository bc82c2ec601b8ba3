"""The swap test: the reader's figure shows the same pictures as the other, in the order of the key."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from examples.small_model import edits, swap
from examples.small_model.swap import draw_swap, main, make_edits, shuffle
from pipeline.arrays import Pixels
from pipeline.pictures.tiles import DPI, NOTE_IN, TILE_IN
from tests.pbe.editing.tiny_model import write_model

COLOURS = [(value, 255 - value, (3 * value) % 256) for value in range(0, 256, 32)]


def colours_of(figure: Pixels) -> list[tuple[int, ...]]:
    """The colours in the middles of the lower line's tiles, the first of which is empty."""
    row = figure.shape[0] - round(DPI * (NOTE_IN + TILE_IN / 2))
    tile = figure.shape[1] / 9
    return [tuple(figure[row, round(tile * (number + 0.5))].tolist()) for number in range(1, 9)]


def test_the_key_leads_from_each_number_to_the_exemplar_of_the_picture_below_it() -> None:
    edits = make_edits(0)
    pictures = [np.full((256, 256, 3), colour, np.uint8) for colour in COLOURS]
    shuffled, key = shuffle(pictures, 0)
    assert sorted(key.values()) == list("ABCDEFGH") != list(key.values()) and list(key) == list("12345678")
    blind = colours_of(draw_swap(edits, shuffled, list(key), note=""))
    assert [COLOURS["ABCDEFGH".index(letter)] for letter in key.values()] == blind


@pytest.mark.slow
def test_the_command_writes_both_figures_and_the_key(tmp_path: Path) -> None:
    model, out = write_model(tmp_path / "model"), tmp_path / "out"
    assert main(["--model", str(model), "--out", str(out), "--steps", "1"]) == 0
    assert Image.open(out / "swap.jpg").size == Image.open(out / "blind.jpg").size
    assert json.loads((out / "key.json").read_text()) == shuffle(make_edits(0), 0)[1]  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [swap, edits])
@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--steps", "0", "give a whole number from 1 to 500"),
        ("--guidance", "nan", "give a number from 1 to 1000"),
        ("--out", "memory://out", "give a folder on a local disk"),
        ("--out", "/dev/null/out", "/dev/null is a file"),
        ("--out", "", "is empty"),
    ],
)
def test_flags_that_cannot_work_are_refused_by_both_commands_before_a_model_is_opened(
    command: ModuleType, flag: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--model": "none", "--out": "out", flag: value}
    given |= {"--trained-on": "none"} if command is edits else {}
    assert command.main([word for pair in given.items() for word in pair]) == 2
    assert flag in (err := capsys.readouterr().err) and said in err


def test_a_model_that_is_not_there_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "none" in capsys.readouterr().err and not (tmp_path / "out").exists()
