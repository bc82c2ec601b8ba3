"""The page of edits: results by guidance and seed beside what they were made from, or why not."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from dashboards.browse import main
from dashboards.edits import read_edits
from dashboards.sheet.edits_page import make_edits_sheet
from pbe.editing.case import Case
from pbe.editing.outputs import Outputs
from pbe.editing.records import digest_inputs, write_record
from pipeline.storage.folder import Folder
from tests.pbe.editing.tiny_model import random_picture, write_pictures

SETTINGS = {"steps": 3, "scheduler": "ddim", "weights": "0123456789abcdef"}


@pytest.fixture
def edits(tmp_path: Path) -> Path:
    """Three cases as pbe.edit leaves them, of which one was made with other settings."""
    write_pictures(tmp_path / "in")
    outputs = Outputs(Folder(str(tmp_path / "out")), "edited", ".png")
    case = Case("cat", "source.png", "exemplar.png", "mask.png", "", str(tmp_path / "in/cases.csv"), (1.0, 5.0), (4, 7))
    dog = replace(case, name="dog", mask="", box="16,10,36,24")
    for number, (each, settings) in enumerate([(case, SETTINGS), (dog, {**SETTINGS, "steps": 9})]):
        for name in outputs.files(each)[:4]:
            outputs.write(name, random_picture(40, 56, seed=number))
        write_record(outputs, each, settings, digest_inputs(each), model_note={"weights": "ema", "step": 30})
    outputs.write("extra-g2.5-s1.png", random_picture(8, 8))
    return tmp_path / "out"


def _cards(html: bytes) -> list[str]:
    return re.findall(r"<article .*?</article>", html.decode(), re.DOTALL)


def test_each_edit_has_a_row_for_each_seed_and_a_column_for_each_guidance(edits: Path) -> None:
    sheet = make_edits_sheet(read_edits(str(edits)))
    assert (sheet.shown, sheet.failed) == (3, 0)
    cat, dog, extra = _cards(sheet.html)
    for card in (cat, dog):
        assert re.findall(r'<th scope="\w+">(.*?)</th>', card) == ["guidance 1", "guidance 5", "seed 4", "seed 7"]
        assert card.count("data:image/webp") == 4 + 2 and card.count("<path ") == 1
    assert "<small>steps 3</small>" in cat and "<small>steps 9</small>" in dog
    assert "<small>scheduler ddim</small>" in cat  # of the third, nothing is known
    assert re.findall(r'<th scope="\w+">(.*?)</th>', extra) == ["guidance 2.5", "seed 1"]
    assert "source, mask, exemplar: nothing is recorded of it" in extra


def test_what_all_edits_have_in_common_stands_once_on_top(edits: Path) -> None:
    (edits / "extra-g2.5-s1.png").unlink()
    top, *_ = make_edits_sheet(read_edits(str(edits))).html.decode().partition("<article ")
    assert "<dt>scheduler</dt><dd>ddim</dd>" in top and "<dt>weights</dt><dd>step 30 (ema)</dd>" in top
    assert "<dt>steps</dt>" not in top


def test_what_is_gone_or_damaged_is_said_at_its_place(edits: Path) -> None:
    (edits / "cat-g1-s4.png").unlink()
    (edits / "cat-g5-s7.png").write_bytes(b"no picture")
    (edits.parent / "in/exemplar.png").unlink()
    sheet = make_edits_sheet(read_edits(str(edits)))
    cat = _cards(sheet.html)[0]
    assert sheet.failed == 1
    assert cat.count("data:image/webp") == 2 + 1 and '<span class="gone">picture ' in cat
    assert "exemplar: exemplar " in cat
    top = sheet.html.decode().partition("<article ")[0]
    assert "1 picture cannot be shown" in top and "cat-g1-s4.png: is gone" in top


def test_equal_folders_give_equal_pages_and_a_limit_a_seeded_choice(edits: Path) -> None:
    found = read_edits(str(edits))
    assert make_edits_sheet(found).html == make_edits_sheet(read_edits(str(edits))).html
    two = make_edits_sheet(found, limit=2)
    assert two.shown == 2 and b"<b>2</b> of 3 edits, a seeded random choice" in two.html
    assert str(edits.parent).encode() not in two.html.split(b"<article ")[0]


def test_the_command_writes_the_page_of_a_folder_of_edits(
    edits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    (edits / "dog-g1-s4.png").unlink()
    assert main([str(edits), "--sheet", str(page)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 of 3 edits, ") and "left out: dog-g1-s4.png: is gone" in said
    assert main([str(edits), "--sheet", str(page), "--where", "draw=1"]) == 2
    assert "--where: chooses samples of a dataset" in capsys.readouterr().err


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_its_search_works_in_a_browser(chromium: Browser, edits: Path, tmp_path: Path, width: int) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(make_edits_sheet(read_edits(str(edits))).html)
    with chromium.new_context(viewport={"width": width, "height": 800}) as context:
        tab = context.new_page()
        tab.goto(page.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        tab.get_by_label("Search").fill("steps 9")
        expect(tab.locator("h2:visible")).to_have_text(["dog"])
        tab.reload()
        expect(tab.locator("#shown")).to_have_text("1")


def test_a_picture_that_is_wide_is_shown_smaller(tmp_path: Path) -> None:
    Image.fromarray(random_picture(300, 900)).save(tmp_path / "edited.png")
    [card] = _cards(make_edits_sheet(read_edits(str(tmp_path))).html)
    assert 'width="256" height="85"' in card
