"""What a visitor sent: laid out as an edit takes it, or refused in one line before a pixel is decoded."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pbe.editing.inputs import read_case
from pbe.painting.asked import Asked, lay_out
from pbe.painting.config import PaintingConfig
from pipeline.errors import InputError
from tests.pbe.painting.conftest import MakeAsked

BASE = PaintingConfig(model="any").edits("edited.png")


def _bomb(width: int, height: int) -> bytes:
    """A PNG whose header says so, and whose pixels are not there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((13, header), (0, b"IDAT"))
    written = [struct.pack(">I", size) + chunk + struct.pack(">I", zlib.crc32(chunk)) for size, chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _refusal(asked: Asked, folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        lay_out(asked, folder, BASE)
    assert list(folder.glob("*.png")) == []
    return str(refused.value)


def test_the_files_of_a_visitor_become_the_one_case_of_a_table(ask: MakeAsked, tmp_path: Path) -> None:
    from pbe.editing.case_table import read_cases

    asked = ask(guidance=2.5, seed=7, pictures=2, blend="paste")
    assert asked.source and asked.exemplar
    config = lay_out(asked, tmp_path, BASE)
    [case], faults = read_cases(config)
    assert faults == [] and (case.guidance, case.seeds, config.how) == ((2.5,), (7, 8), "paste")
    assert (tmp_path / "source.png").read_bytes() == asked.source.read_bytes()
    assert (tmp_path / "exemplar.png").read_bytes() == asked.exemplar.read_bytes()
    expected = np.zeros((40, 56), bool)
    expected[10:24, 16:36] = True
    assert np.array_equal(read_case(case).mask, expected)


@pytest.mark.parametrize(
    ("missing", "said"), [("source", "no photo"), ("brushed", "brushed"), ("exemplar", "exemplar")]
)
def test_what_is_missing_is_said_in_one_line(missing: str, said: str, ask: MakeAsked, tmp_path: Path) -> None:
    line = _refusal(ask(**{missing: None}), tmp_path)
    assert said in line and "\n" not in line


def test_a_brush_that_was_nowhere_is_said(ask: MakeAsked, tmp_path: Path) -> None:
    asked = ask()
    assert asked.brushed
    for empty in (np.zeros((40, 56, 4), np.uint8), np.full((40, 56, 3), 255, np.uint8)):
        Image.fromarray(empty).save(asked.brushed)
        assert "nothing is brushed yet" in _refusal(asked, tmp_path)
    Image.fromarray(np.full((41, 56, 4), 255, np.uint8)).save(asked.brushed)
    assert "another photo" in _refusal(asked, tmp_path)


@pytest.mark.parametrize("what", ["source", "brushed", "exemplar"])
def test_megapixels_are_refused_by_the_header_alone(what: str, ask: MakeAsked, tmp_path: Path) -> None:
    asked = ask()
    path: Path = getattr(asked, what)
    path.write_bytes(_bomb(30_000, 1000))
    assert "30000 x 1000 px are 30 megapixels; give a picture of at most 25" in _refusal(asked, tmp_path)
    path.write_bytes(_bomb(100_000, 100_000))
    assert "100000 x 100000 px" in _refusal(asked, tmp_path)
    path.write_bytes(b"no picture at all")
    assert "cannot be read as a picture" in _refusal(asked, tmp_path)


@given(
    st.sampled_from(["guidance", "steps", "pictures", "seed"]),
    st.integers(-(2**40), 2**40).filter(lambda n: not 0 <= n < 2**31),
)
def test_numbers_beyond_the_pages_are_refused(name: str, value: int) -> None:
    numbers = {"guidance": 3.0, "steps": 2, "seed": 5, "pictures": 1, name: value}
    with pytest.raises(InputError, match=f"{name}: .* is out of range"):
        lay_out(Asked(None, None, None, blend="hole", **numbers), Path("nowhere"), BASE)  # type: ignore[arg-type]
