"""The page in a real Chromium: filters, order and address, at desktop and phone width, in print, without script."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.rows import choose_rows, open_rows
from pipeline.shards.samples import Row
from pipeline.storage.folder import Folder
from tests.dashboards.sheet.test_page import HOSTILE, make_page

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def rows(finished: Path) -> list[Row]:
    """What the page shows."""
    return list(choose_rows(open_rows(Folder(str(finished))), limit=0).table.to_pylist())


@pytest.fixture
def url(finished: Path, tmp_path: Path) -> str:
    """The page's address."""
    page = tmp_path / "page with spaces.html"
    page.write_bytes(make_page(finished).html)
    return page.as_uri()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(chromium: Browser, request: pytest.FixtureRequest) -> Page:
    """A tab of its own; a test fails on any error in it, and on any request for more than the page itself."""
    context = chromium.new_context(viewport=request.param)
    tab = context.new_page()
    tab.set_default_timeout(10_000)
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else faults.append(asked.url))
    yield tab
    context.close()
    assert faults == []


def _shown(page: Page) -> list[str]:
    """The keys of the cards that can be seen, in order."""
    keys = page.locator(".card:visible header code").all_text_contents()
    assert page.locator("#shown").inner_text() == str(len(keys))
    return keys


def test_search_and_filters_show_what_they_say_and_a_link_brings_it_back(
    page: Page, url: str, rows: list[Row], chromium: Browser
) -> None:
    page.goto(url)
    assert _shown(page) == [row["key"] for row in rows]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Search").fill("HUMAN 00c4")
    assert _shown(page) == [row["key"] for row in rows if row["label_name"] == "Human eye"]
    page.get_by_label("Search").fill("")
    page.locator("[name=shape]").select_option("bezier")
    page.get_by_label("at the border").check()
    page.get_by_label("sort by").select_option("-cover")
    wanted = [row for row in rows if row["mask_shape"] == "bezier" and row["at_border"]]
    keys = _shown(page)
    assert 1 < len(keys) < len(rows) and set(keys) == {row["key"] for row in wanted}

    page.reload()
    assert _shown(page) == keys
    with chromium.new_context() as other:
        shared = other.new_page()
        shared.goto(page.url)
        assert _shown(shared) == keys
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#shown")).to_have_text(str(len(rows)))
    assert _shown(page) == [row["key"] for row in rows]


@pytest.mark.parametrize(
    "column", ["cover", "key", *(pytest.param(name, marks=pytest.mark.slow) for name in ("area", "ratio", "strength"))]
)
def test_cards_stand_in_the_order_asked_for(chromium: Browser, url: str, rows: list[Row], column: str) -> None:
    name = {"ratio": "box_mask_ratio", "strength": "augmentation_strength"}.get(column, column)
    values = {row["key"]: row[name] for row in rows}
    with chromium.new_context() as context:
        page = context.new_page()
        for sign in ("", "-") if column in ("area", "cover", "ratio") else ("-",) if column == "strength" else ("",):
            page.goto(f"{url}#sort={sign}{column}")
            page.reload()
            shown = [values[key] for key in _shown(page)]
            assert len(shown) == len(rows)
            expected = sorted(shown, reverse=bool(sign))
            assert shown == (expected if column == "key" else pytest.approx(expected, rel=1e-3))


def test_pictures_and_overlays_are_drawn(page: Page, url: str) -> None:
    page.goto(url)
    card = page.locator(".card").first
    sizes = card.evaluate("c => [...c.querySelectorAll('svg, img')].map(p => p.getBoundingClientRect().width)")
    assert len(sizes) == 4 and all(size > 50 for size in sizes)
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("getComputedStyle(document.querySelector('.hole')).fill") == "rgb(128, 128, 128)"
    outlined = card.screenshot()
    page.get_by_label("no outlines").check()
    assert card.screenshot() != outlined


def test_of_many_cards_those_out_of_sight_are_drawn_when_they_come_into_sight(
    page: Page, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "many.html").write_bytes(make_page(finished, times=8).html)
    page.goto((tmp_path / "many.html").as_uri())
    assert len(_shown(page)) == 8 * 14
    page.get_by_label("Search").fill("saucer")
    assert len(_shown(page)) == 8
    last = page.locator(".card:visible").last
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    expect(last.locator("h2")).to_have_text("Saucer", use_inner_text=True)


def test_without_script_and_in_print_every_sample_shows_and_no_controls(
    chromium: Browser, url: str, rows: list[Row]
) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(url)
        expect(page.locator(".card:visible")).to_have_count(len(rows))
        expect(page.locator("#controls")).to_be_hidden()
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(url)
        expect(page.locator("#controls")).to_be_visible()
        page.emulate_media(media="print")
        expect(page.locator("#controls")).to_be_hidden()
        assert page.evaluate("getComputedStyle(document.querySelector('.card')).breakInside") == "avoid"


def test_a_hostile_name_is_shown_and_searched_as_text(page: Page, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(make_page(finished, label_name=HOSTILE, split=HOSTILE).html)
    page.goto((tmp_path / "page.html").as_uri())
    assert page.title() == "Paint by Example: 14 samples"
    assert page.locator("h2").first.inner_text() == HOSTILE
    page.get_by_label("Search").fill("onerror=")
    assert len(_shown(page)) == 14
