"""The page in a real browser: a photo is uploaded, brushed and painted, and its download is what `pbe.edit` makes."""

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from pbe.edit import main as edit
from pipeline.command import EXIT_INTERRUPTED
from tests.pbe.editing.tiny_model import random_picture
from tests.ports import free_ports

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs gradio: pip install -e '.[app]'"),
]
SIZE = 120, 160  # of the photo: height, width
WIDTHS = {"phone": 390, "screen": 1280}


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    """A page that runs as a process of its own; it ends by Ctrl-C, with one line, and has printed of nobody."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "pbe.app", "--model", str(model), "--port", str(port)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, **pipes) as page:
        assert page.stdout
        lines = []
        for line in page.stdout:
            lines.append(line)
            if "paint at" in line:
                break
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            page.send_signal(signal.SIGINT)
            out, err = page.communicate(timeout=60)
    assert page.returncode == EXIT_INTERRUPTED, err
    assert err.strip().splitlines() == ["interrupted; downloads are kept, nothing else of what was painted"]
    assert len([*lines, *out.splitlines()]) == 5, out


@pytest.fixture(params=WIDTHS.values(), ids=WIDTHS)
def page(chromium: "Browser", address: str, request: pytest.FixtureRequest) -> Iterator["Page"]:
    """The page, by a visitor whose browser asks nobody else, and gets all that it asks for."""
    own = (address, "blob:", "data:")
    with chromium.new_context(viewport={"width": request.param, "height": 900}, accept_downloads=True) as visitor:
        visited = visitor.new_page()
        strangers: list[str] = []
        visited.on("request", lambda asked: None if asked.url.startswith(own) else strangers.append(asked.url))
        visited.on("response", lambda answer: strangers.append(answer.url) if answer.status >= 400 else None)
        visited.goto(address)
        visited.wait_for_selector("#exemplar input[type=file]", state="attached")
        yield visited
        assert strangers == []
        assert visited.evaluate("document.documentElement.scrollWidth") <= request.param


def _write(folder: Path) -> dict[str, Path]:
    pictures = {"source": random_picture(*SIZE), "exemplar": random_picture(60, 40, seed=1)}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"my {name}.png")
    return {name: folder / f"my {name}.png" for name in pictures}


def _choose(page: "Page", editor: str, file: Path) -> None:
    page.set_input_files(f"#{editor} input[type=file]", file)
    page.wait_for_selector(f"#{editor} canvas")
    page.wait_for_timeout(1000)  # the canvas takes the picture's shape


def _brush(page: "Page") -> None:
    canvas = page.locator("#source canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 20, y - 10)
    page.mouse.down()
    page.mouse.move(x + 20, y + 10, steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)


def test_what_is_brushed_and_painted_is_what_an_edit_makes_of_the_download(
    page: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _write(tmp_path)
    page.click("#paint")
    page.wait_for_selector("#status [role=alert]")
    assert page.locator("#status").inner_text().startswith("there is no photo yet")
    _choose(page, "source", files["source"])
    _choose(page, "exemplar", files["exemplar"])
    page.click("#paint")
    page.wait_for_selector("#status [role=alert]:has-text('nothing is brushed yet')")

    _brush(page)
    page.click("#paint")
    page.wait_for_selector("#download:visible", timeout=60_000)
    assert page.locator("#pictures img").count() >= 1
    command = page.locator("#command textarea").input_value()
    with page.expect_download() as downloading:
        page.click("#download")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(downloading.value.path()) as archive:
        archive.extractall(unpacked)

    monkeypatch.chdir(unpacked)
    for name, given in files.items():
        assert np.array_equal(_pixels(Path(f"{name}.png")), _pixels(given))
    mask = np.asarray(Image.open("mask.png"))
    assert mask.shape == SIZE and mask[SIZE[0] // 2, SIZE[1] // 2] == 255 and mask[0, 0] == 0
    assert edit(shlex.split(command)[3:]) == 0
    assert np.array_equal(_pixels(Path("edited.png")), _pixels(Path("edited-again.png")))
    assert not np.array_equal(_pixels(Path("edited.png")), _pixels(files["source"]))


def test_a_sample_needs_one_click_and_the_brush(page: "Page") -> None:
    page.locator(".sample").first.click()
    page.wait_for_selector("#source canvas")
    page.wait_for_timeout(1500)
    _brush(page)
    page.click("#paint")
    page.wait_for_selector("#download:visible", timeout=60_000)
    assert page.locator("#status").inner_text().startswith("1 picture in ")


def _pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path).convert("RGB"))
