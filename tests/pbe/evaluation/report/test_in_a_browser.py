"""The report in a real Chromium: order by any score of any row, filters, links, phone width, print, no script."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect

from pbe.evaluation.report.writing import write_report
from pipeline.storage.folder import Folder
from schemas.scores import REPORT, SCORES_TABLE
from tests.pbe.evaluation.report.fake_evaluation import write_evaluation

Scores = dict[str, dict[str, float | None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation and its report."""
    folder = tmp_path_factory.mktemp("in a browser") / "run"
    write_evaluation(folder, cases=8, size=48)
    write_report(Folder(str(folder)))
    return folder


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def page(chromium: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The report, opened; a test fails on any error in it, and on any request for more than the page itself."""
    context = chromium.new_context(viewport={"width": request.param, "height": 850})
    tab = context.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else faults.append(asked.url))
    tab.goto((folder / REPORT).as_uri())
    yield tab
    context.close()
    assert faults == []


def scores_of(folder: Path, row: str, column: str) -> dict[str, float | None]:
    rows = pq.read_table(folder / SCORES_TABLE).to_pylist()
    return {each["case"]: each[column] for each in rows if each["row"] == row}


def shown(page: Page) -> list[str]:
    names = page.locator("#cards .card:visible h3").all_text_contents()
    assert page.locator("#shown").inner_text() == str(len(names))
    return names


def test_cases_are_ordered_by_any_score_of_any_row_and_filtered_and_a_link_brings_it_back(
    page: Page, folder: Path
) -> None:
    bench = [f"{number:04d}" for number in range(8)]
    assert shown(page) == bench
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("sort by").select_option(label="CLIP score, highest first")
    page.locator("[name=of]").select_option(label="pbe-crop-g5")
    clip = scores_of(folder, "pbe-crop-g5", "clip_score_official")
    assert shown(page) == sorted(bench, key=lambda case: -(clip[case] or 0))
    page.get_by_label("sort by").select_option(label="seam, lowest first")
    page.locator("[name=of]").select_option(label="lama-paste-harmonize")
    seam = scores_of(folder, "lama-paste-harmonize", "seam")
    failed = [case for case in bench if seam[case] is None]
    scored = [case for case in bench if seam[case] is not None]
    assert shown(page) == [*sorted(scored, key=lambda case: seam[case] or 0), *failed]

    page.locator("[name=label]").select_option("Rocket")
    page.locator("[name=only]").select_option(label="copy-paste")
    names = shown(page)
    assert sorted(names) == ["0002", "0006"]
    assert page.locator(".card:visible .results thead th:visible").all_text_contents() == ["copy-paste"] * 2
    page.reload()
    assert shown(page) == names
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#shown")).to_have_text("8")
    assert shown(page) == bench
    page.get_by_label("with failures").check()
    assert shown(page) == failed


def test_a_link_to_a_case_that_is_filtered_out_shows_it(page: Page) -> None:
    page.get_by_label("Search").fill("0007")
    assert shown(page) == ["0007"]
    page.locator("#extremes a[href='#c1']").first.click()
    expect(page.locator("#c1")).to_be_in_viewport()
    assert len(shown(page)) == 8


def test_pictures_of_the_worst_and_the_best_are_drawn_and_tables_scroll_by_keyboard(page: Page) -> None:
    page.locator("#extremes").scroll_into_view_if_needed()
    used = page.locator("#extremes use").evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
    assert used and all(width > 20 for width in used)
    table = page.get_by_role("region", name="Results", exact=True)
    table.focus()
    if table.evaluate("one => one.scrollWidth > one.clientWidth"):
        page.keyboard.press("ArrowRight")
        expect(table).not_to_have_js_property("scrollLeft", 0)


def test_without_script_and_in_print_every_case_shows_and_no_controls(chromium: Browser, folder: Path) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((folder / REPORT).as_uri())
        expect(page.locator(".card:visible")).to_have_count(8)
        expect(page.locator("#controls")).to_be_hidden()
        page.emulate_media(media="print")
        expect(page.locator("nav")).to_be_hidden()
        expect(page.locator(".banner").first).to_be_visible()
