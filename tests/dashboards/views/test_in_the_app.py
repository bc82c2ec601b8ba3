"""What people see in FiftyOne's App, in a real browser: grid, group, rows, patches, dropped boxes, edits,
evaluations, mean mask.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from dashboards.config import BrowseConfig
from dashboards.loading import load_comparison, load_dataset, load_edits
from dashboards.views.sample_media import SLICES
from pbe.evaluate import main as evaluate
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.manifest import read_manifest
from pipeline.shards.records import read_records
from pipeline.shards.totals import sums_off
from pipeline.storage.folder import Folder
from tests.dashboards.conftest import App
from tests.pbe.evaluation.running.small_bench import write_bench, write_stranger

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOOKERS = "document.querySelectorAll('[data-cy=looker]').length"


@pytest.fixture(scope="module")
def folder(make: Callable[..., PreparedJob], tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A dataset of the sample photos, with the config of the run that made it."""
    job = make(tmp_path_factory.mktemp("shown") / "out")
    inputs = {name: getattr(job.config, name) for name in ("boxes", "images", "image_info", "classes")}
    job.out.write_json("run/config.json", inputs)
    return job.out


@pytest.fixture(scope="module")
def shown(app: App, folder: Folder) -> Iterator[str]:
    """The dataset, built as `browse` builds it; yields the name of its samples."""
    from dashboards.views.building import build

    config = BrowseConfig((folder.url,))
    built = build("shown", load_dataset(folder, config), config)
    app.sources[:] = built.sources
    assert list(built.datasets) == ["shown", "shown-dropped"]
    yield "shown"


def _open(page: "Page", app: App, path: str, *, lookers: int) -> list[str]:
    """Open a page, wait for its pictures, and return the answers that failed."""
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    page.goto(f"{app.url}/datasets/{path}")
    page.wait_for_function(f"{LOOKERS} == {lookers}")
    page.wait_for_load_state("networkidle" if not lookers else "load")
    return failed


def test_the_grid_shows_a_source_a_group_and_the_mean_mask_follows_the_view(app: App, page: "Page", shown: str) -> None:
    assert _open(page, app, shown, lookers=14) == []
    page.click("[data-cy=new-panel-btn]")
    page.get_by_text("Mean mask").first.click()
    page.get_by_text("Mean mask of 14 samples").wait_for()
    page.wait_for_function("document.querySelector('.js-plotly-plot .heatmaplayer image') !== null")
    page.goto(f"{app.url}/datasets/{shown}?view=squashed")
    page.wait_for_function(f"{LOOKERS} == 1")
    page.click("[data-cy=new-panel-btn]")
    page.get_by_text("Mean mask").first.click()
    page.get_by_text("Mean mask of 1 samples").wait_for()


def test_a_group_shows_every_slice_and_another_visitor_does_not_see_it(
    app: App, page: "Page", shown: str, folder: Folder
) -> None:
    from dashboards.app.documents import group_id

    key = load_dataset(folder, BrowseConfig((folder.url,), dropped=False)).samples.table["key"][0].as_py()
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(f"{answer.status} {answer.url}") if "media" in answer.url else None)
    page.goto(f"{app.url}/datasets/{shown}?groupId={group_id(shown, key)}&slice=source")
    page.wait_for_selector("[data-cy=modal] [data-cy=looker]")
    page.wait_for_function(f"document.querySelectorAll('[data-cy=modal] [data-cy=looker]').length >= {len(SLICES)}")
    wanted = {f"200 {app.url}/media?filepath=%2F{shown}%2F{name}%2F{key}.jpg" for name in SLICES}
    for _ in range(100):
        if wanted <= set(asked):
            break
        page.wait_for_timeout(100)
    assert wanted <= set(asked)
    other = page.context.new_page()
    _open(other, app, shown, lookers=14)
    assert other.locator("[data-cy=modal]").count() == 0
    assert "groupId" not in other.url


def _choose_slice(page: "Page", name: str, *, lookers: int) -> None:
    """Choose a slice and wait for its pictures; once more where a page that was still changing lost the click."""
    from playwright.sync_api import TimeoutError

    for milliseconds in (20_000, 60_000):
        page.click("[data-cy=selector-slice]")
        page.click(f"[data-cy='selector-result-{name}']")
        try:
            page.wait_for_function(f"{LOOKERS} == {lookers}", timeout=milliseconds)
            return
        except TimeoutError:
            if milliseconds == 60_000:
                raise


@pytest.mark.parametrize(
    ("view", "lookers"), [("all-pictures-in-rows", 56), pytest.param("boxes-cut-out", 14, marks=pytest.mark.slow)]
)
def test_flat_rows_and_patches_show_all_their_pictures(
    app: App, page: "Page", shown: str, view: str, lookers: int
) -> None:
    page.set_viewport_size({"width": 1600, "height": 2400})
    assert _open(page, app, f"{shown}?view={view}", lookers=lookers) == []


@pytest.mark.slow
def test_the_dropped_view_shows_every_photo_and_a_fate_as_a_view(app: App, page: "Page", shown: str) -> None:
    import fiftyone as fo

    photos = len(fo.load_dataset(f"{shown}-dropped").load_saved_view("filter: area"))
    assert 0 < photos < 7
    assert _open(page, app, f"{shown}-dropped", lookers=7) == []
    assert _open(page, app, f"{shown}-dropped?view=filter-area", lookers=photos) == []


def test_a_box_that_was_tagged_in_the_app_leaves_the_next_dataset(
    app: App, page: "Page", shown: str, folder: Folder, make: Callable[..., PreparedJob], tmp_path: Path
) -> None:
    import fiftyone as fo

    from dashboards.views.tagged import tagged_boxes, to_csv

    [sample] = fo.load_dataset(shown).load_saved_view("squashed")
    _open(page, app, f"{shown}?view=squashed", lookers=1)
    page.locator("[data-cy=action-tag-sample-labels]").first.click()
    page.locator("input[placeholder*='tag']").first.fill("bad")
    page.keyboard.press("Enter")
    with page.expect_response(f"{app.url}/tag"):
        page.get_by_text("Apply").first.click()
    rows = tagged_boxes([fo.load_dataset(shown)])
    assert [(row["image_id"], row["box_id"], row["tags"]) for row in rows] == [
        (sample["image_id"], sample["box_id"], "bad")
    ]
    (tmp_path / "tagged.csv").write_bytes(to_csv(rows))
    make(tmp_path / "next", deny=str(tmp_path / "tagged.csv"))
    cleaned = Folder(str(tmp_path / "next"))
    totals = read_manifest(cleaned)["totals"]
    assert totals["filtered"]["denied"] == 1
    assert sums_off(totals, read_records(cleaned)) == []
    left = load_dataset(cleaned, BrowseConfig((cleaned.url,), dropped=False)).samples.table.to_pylist()
    assert (sample["image_id"], sample["box_id"]) not in {(row["image_id"], row["box_id"]) for row in left}


@pytest.mark.slow
def test_edits_stand_beside_their_inputs(app: App, page: "Page", tmp_path: Path) -> None:
    from dashboards.views.building import build

    for guidance in (1.5, 5):
        pixels = np.full((48, 64, 3), int(40 * guidance), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"cat-g{guidance}-s0.png")
        shutil.copy(tmp_path / f"cat-g{guidance}-s0.png", tmp_path / f"dog-g{guidance}-s0.png")
    config = BrowseConfig((str(tmp_path),))
    built = build("edits", load_edits(Folder(str(tmp_path)), config), config)
    app.sources += built.sources
    _open(page, app, "edits", lookers=2)
    page.set_viewport_size({"width": 1600, "height": 1200})
    assert _open(page, app, "edits?view=side-by-side-in-rows", lookers=8) == []


def test_rows_of_an_evaluation_stand_beside_their_inputs_the_worst_first_by_any_score(
    app: App, page: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fiftyone as fo

    from dashboards.app.documents import group_id
    from dashboards.views.building import build

    table = write_bench(tmp_path / "bench")
    write_stranger(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    methods = ("stranger:Odd", "identity", "copy-paste@$a.b", "identity@source", "stranger:Absent")
    assert evaluate([*methods, "--bench", str(table), "--out", str(tmp_path / "run")]) == 0
    (tmp_path / "bench" / "c02-exemplar.png").unlink()
    config = BrowseConfig((str(tmp_path / "run"),))
    comparison = load_comparison(Folder(str(tmp_path / "run")), config)
    build("evaluated", replace(comparison, rows=(*comparison.rows, "gone since")), config)
    fo.load_dataset("evaluated").match({"case": "c01"}).tag_samples("look")
    built = build("evaluated", comparison, config)
    app.sources += built.sources
    dataset = fo.load_dataset("evaluated")
    assert dataset.group_slices == ["source", "exemplar", "ground truth", "odd", "identity", "·a·b", "source (2)"]
    values = dataset.values("copy_paste")  # of the slice that the grid shows at first
    assert values[2:] == [None] * 3 and values[:2] == sorted(values[:2], reverse=True)
    assert dataset.match_tags("look").values("case") == ["c01"]
    failed = dataset.load_saved_view("failed")
    assert failed.values("picture") == ["odd"] * 3 and "RuntimeError: no idea" in failed.values("failed")
    assert _open(page, app, "evaluated", lookers=5) == []
    assert _open(page, app, "evaluated?view=worst-copy-paste-score", lookers=2) == []
    _choose_slice(page, "source (2)", lookers=5)
    page.set_viewport_size({"width": 1600, "height": 2400})
    assert _open(page, app, "evaluated?view=side-by-side-worst-first", lookers=5 * 7) == []
    page.goto(f"{app.url}/datasets/evaluated?groupId={group_id('evaluated', 'c01')}&slice=odd")
    page.locator("[data-cy=modal]").get_by_text("RuntimeError: no idea").first.wait_for()
    page.wait_for_function("document.querySelectorAll('[data-cy=modal] [data-cy=looker]').length >= 4")
