"""The page of trainings: their curves, what they differ in, and the samples they lose most and least on."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from dashboards.browse import main
from dashboards.conditions import parse_condition
from dashboards.config import BrowseConfig
from dashboards.loading import read_all
from dashboards.rows import choose_rows, open_rows
from dashboards.sheet.page import Sheet
from dashboards.sheet.run_page import make_runs_sheet
from pbe.feed.contents import read_contents
from pbe.training.config import TrainConfig
from pbe.training.run_folder import CHECKPOINTS, write_record
from pbe.training.telemetry import Telemetry
from pbe.training.validation import Validation
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from tests.dashboards.test_training_run import observed, scored
from tests.pbe.editing.tiny_model import random_picture

HOSTILE = "<img src=x onerror=alert(1)>{{ 7*7 }}"
Train = Callable[..., Path]


@pytest.fixture
def keys(finished: Path) -> list[str]:
    """The dataset's validation samples, as a training looks at them."""
    dataset = open_rows(Folder(str(finished)))
    conditions = [parse_condition("split=validation"), parse_condition("draw=0")]
    found = choose_rows(dataset, conditions, limit=0).table["key"].to_pylist()
    assert found
    return [str(key) for key in found]


@pytest.fixture
def train(finished: Path, keys: list[str], tmp_path: Path) -> Train:
    """What a training of 4 steps on that dataset leaves, the second loss not finite."""

    def make(name: str, **flags: object) -> Path:
        out = tmp_path / name
        out.mkdir()
        config = replace(TrainConfig(), data=str(finished), out=str(out), steps=4, **flags)
        folder = Folder(str(finished))
        begun = read_contents(folder, read_manifest(folder), draws=1)  # the dataset has got another draw since
        write_record(out, config, world=2, dataset=begun.digest, draws=begun.draws)
        log = Telemetry(out, done=0, steps=4, batch=2)
        for step in range(1, 5):
            log.write({"step": step, "loss": float("nan") if step == 2 else 1 / step})
            log.write_grid(random_picture(20, 60, seed=step), scored(step))
        losses = [1 + number / 8 for number in range(len(keys))]
        log.write_validation(4, Validation(observed(*losses), observed(*np.divide(losses, 2))).table(keys))
        (out / CHECKPOINTS / "step-00000004").mkdir(parents=True)
        log.close()
        return out

    return make


def make_page(*folders: Path, **flags: object) -> Sheet:
    config = replace(BrowseConfig(paths=("any",)), **flags)
    return make_runs_sheet([read_all(Folder(str(folder)), config) for folder in folders])


def test_a_training_is_shown_with_its_facts_grids_and_samples(train: Train, keys: list[str]) -> None:
    sheet = make_page(train("first", lr=0.5))
    html = sheet.html.decode()
    assert (sheet.shown, sheet.failed) == (4 + len(keys), 0)
    for fact in ("4 of 4", "step 4", "0.25 at step 4"):
        assert f"<td>{fact}</td>" in html
    assert re.findall(r'<th scope="row">(--[a-z-]+)</th><td>(.*?)</td>', html) == [("--lr", "0.5"), ("--steps", "4")]
    assert re.findall(r"<figcaption>Step (\d)", html) == ["4", "3", "2", "1"]
    assert "The training loss was not finite at step 2" in html
    assert "has changed since the training began" not in html
    cards = re.findall(r"<article .*?</article>", html, re.DOTALL)
    assert [re.search(r"</h2><code>(.*?)</code>", card)[1] for card in cards] == keys[::-1]  # type: ignore[index]
    worst = 1 + (len(keys) - 1) / 8
    assert f'<th scope="row">whole</th><td>{worst:.4g}</td><td>{worst / 2:.4g}</td>' in cards[0]
    assert '<th scope="row">inside</th><td>1</td><td>1</td>' in cards[0]
    assert all(card.count("data:image/webp") == 3 for card in cards)


def test_scores_of_grids_are_shown_as_curves_where_they_are_there(train: Train) -> None:
    out = train("first")
    titles = ("Copy-paste score", "Similarity by the training&#39;s exemplar encoder (untrained)")
    html = make_page(out).html.decode()
    figures = re.findall(r'<figure class="curves"><figcaption>(.*?)</figcaption>(.*?)</figure>', html, re.DOTALL)
    assert tuple(title for title, _ in figures) == titles
    for _, figure in figures:
        assert "guidance 1, guidance 3, source" in figure and figure.count("<polyline") == 1 + 3
    (out / "grids/step-00000002.json").write_bytes(b"broken")
    for step in (1, 3, 4):
        (out / f"grids/step-0000000{step}.json").write_bytes(scored(step, tower=None).to_json())
    html = make_page(out).html.decode()
    assert titles[0] in html and "exemplar encoder" not in html and "step-00000002.json: cannot be read" in html
    for path in (out / "grids").glob("*.json"):
        path.unlink()  # as trainings of earlier versions left them
    assert "Scores of sample grids" not in make_page(out).html.decode()


def test_several_trainings_share_a_figure_and_a_table_of_what_they_differ_in(train: Train, keys: list[str]) -> None:
    page = make_page(train("first"), train("second", lr=0.5, ema=0.9)).html.decode()
    assert page.count('aria-label="losses by step') == page.count('aria-label="losses by step: first, second"') == 1
    flags = page.partition("Flags in which they differ")[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">(.*?)</th>', flags) == ["--ema", "--lr"]
    assert page.count("<article ") == 2 * len(keys)
    ids = re.findall(r' id="(.*?)"', page)
    assert len(ids) == len(set(ids))


def test_where_the_dataset_is_gone_the_losses_stand_in_a_table(train: Train, keys: list[str], tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    out = train("first")
    write_record(out, TrainConfig(data=gone, out=str(out)), world=1, dataset="0", draws=1)
    html = make_page(out).html.decode()
    assert f"their dataset cannot be read ({gone}: no such folder)" in html and "<article " not in html
    assert re.findall(r'<th scope="row"><code>(.*?)</code></th>', html) == keys[::-1]


def test_a_dataset_that_has_changed_and_a_broken_grid_are_named(train: Train) -> None:
    out = train("first")
    (out / "grids/step-00000003.png").write_bytes(b"broken")
    record = (out / "run.json").read_text()
    (out / "run.json").write_text(re.sub(r'"dataset_digest": "\w+"', '"dataset_digest": "0"', record))
    sheet = make_page(out)
    assert sheet.failed == 1 and b"grids/step-00000003.png: cannot be read as a picture" in sheet.html
    assert b"has changed since the training began" in sheet.html


def test_equal_trainings_give_equal_pages_and_a_hostile_name_is_text(train: Train) -> None:
    out = train(HOSTILE)
    html = make_page(out).html
    assert html == make_page(out).html
    assert b"<img src=x" not in html and b"{{ 7*7 }}" in html and b"&lt;img src=x onerror" in html


def test_the_command_takes_several_trainings_and_only_trainings(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, page = [str(train("first")), str(train("second"))], str(tmp_path / "page.html")
    assert main([*runs, "--sheet", page]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("2 trainings; ") and said[-1] == f"sheet: {page}  (open it in a browser)"
    assert main([*runs, str(finished), "--sheet", page]) == 2
    assert f"{finished} (dataset): several go into one page only where all are trainings" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "second/grids")
    (tmp_path / "second/metrics.jsonl").unlink()
    shutil.rmtree(tmp_path / "second/validation")
    assert main([*runs, "--sheet", page]) == 2
    assert "second: has not ended its first step yet" in capsys.readouterr().err


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_it_fits_a_desktop_and_a_phone_and_all_its_pictures_show(
    chromium: Browser, train: Train, tmp_path: Path, width: int
) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(make_page(train("first"), train("a rather long name of a second training")).html)
    faults: list[str] = []
    with chromium.new_context(viewport={"width": width, "height": 800}) as context:
        tab = context.new_page()
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("console", lambda message: faults.append(message.text))
        tab.goto(page.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        curve = tab.locator(".curves svg").first.bounding_box()
        assert curve and curve["width"] > 250 and curve["height"] > 150
    assert faults == []
