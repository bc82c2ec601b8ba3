"""The report of an evaluation: equal bytes, text that stays text, what is missing is said, never too large."""

import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pbe.evaluation.report.cards import LEVELS, make_cards, shrink
from pbe.evaluation.report.choosing import choose_cases
from pbe.evaluation.report.page import make_page
from pbe.evaluation.report.writing import read_scores, write_report
from pbe.evaluation.summary import read_summary
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.scores import ADDED_LATER, BENCH, REPORT, SCORES, SCORES_TABLE, SUMMARY, TABLE_MD, TABLE_TEX
from tests.pbe.evaluation.report.fake_evaluation import NAMES, RAISED, ROWS, change_summary, photos, write_evaluation

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"alert(1)\">\"'&{{ 7*7 }}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation and its report, to read only."""
    folder = tmp_path_factory.mktemp("evaluation") / "run"
    write_evaluation(folder, cases=8, size=48, names={2: HOSTILE})
    write_report(Folder(str(folder)))
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """The same, as a copy to break."""
    return Path(shutil.copytree(written, tmp_path / "copy"))


def page_of(folder: Path) -> str:
    write_report(Folder(str(folder)))
    return (folder / REPORT).read_text()


def cards_of(html: str) -> list[str]:
    return re.findall(r"<article .*?</article>", html, re.DOTALL)


def test_equal_evaluations_give_equal_bytes(written: Path, folder: Path) -> None:
    write_report(Folder(str(folder)))
    for name in (REPORT, TABLE_MD, TABLE_TEX):
        assert (folder / name).read_bytes() == (written / name).read_bytes()
    assert str(written) not in (written / REPORT).read_text()


def test_every_case_has_its_card_with_inputs_and_every_rows_picture_and_scores(written: Path) -> None:
    cards = cards_of((written / REPORT).read_text())
    assert len(cards) == 8
    for number, card in enumerate(cards):
        failed = number % 5 == 1
        assert card.count("data:image/webp") == 3 + len(NAMES) - failed
        assert card.count('<th scope="col" title=') == len(NAMES) and card.count("data-line=") == 5
        assert (RAISED in card) == failed == ("data-failures" in card)
        assert card.count("<path ") == 1


def test_the_page_asks_for_nothing_outside_itself_and_runs_no_script_but_its_own(written: Path) -> None:
    html = (written / REPORT).read_text()
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" in html
    assert html.count("<script>") == html.count("</script>") == 1 and not re.search(r"<img[^>]*\bonerror", html)
    assert {link.split(":")[0][:1] for link in re.findall(r'(?:href|src)="([^"]*)"', html)} == {"#", "d"}
    assert "&lt;/script&gt;&lt;script&gt;" in html and "{{ 7*7 }}" in html


def test_banners_unavailable_rows_and_unmeasured_metrics_are_said_on_top(written: Path) -> None:
    html, table = (written / REPORT).read_text(), (written / TABLE_MD).read_text()
    for text in ("8 cases are too few", "is tiny and untrained", "unavailable: there are no weights", "no mixture"):
        assert text in html and text in table
    assert html.index("too few") < html.index("<table")


def test_inputs_that_changed_and_pictures_that_are_gone_are_said_at_their_place(folder: Path, tmp_path: Path) -> None:
    write_evaluation(tmp_path / "fresh", cases=3, size=48)
    (tmp_path / "fresh/bench/0-source.png").write_bytes(b"another file")
    (tmp_path / "fresh/pictures/identity/0001.png").unlink()
    html = page_of(tmp_path / "fresh")
    cards = cards_of(html)
    assert "is not the file that was evaluated" in cards[0] and cards[1].count('class="gone"') == 2
    assert "1 picture cannot be shown" in html
    (folder / BENCH).unlink()
    html = page_of(folder)
    assert f"{BENCH} is missing" in html and len(cards_of(html)) == 8
    (folder / BENCH).write_bytes(b"torn")
    assert "are not shown: bench.parquet: is not the" in page_of(folder)


def test_a_picture_outside_of_the_evaluation_is_not_opened(folder: Path) -> None:
    rows = [{**row, "picture": "../../secret.png"} for row in pq.read_table(folder / SCORES_TABLE).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, SCORES), folder / SCORES_TABLE)
    assert "would leave" in page_of(folder)


@pytest.mark.parametrize("name", [SUMMARY, SCORES_TABLE])
def test_an_evaluation_that_is_not_finished_or_damaged_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"{")
    with pytest.raises(InputError, match=f"{name}: is not the"):
        write_report(Folder(str(folder)))
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"holds no {name}"):
        write_report(Folder(str(folder)))


def test_an_earlier_evaluation_that_lacks_a_later_score_still_has_a_report(folder: Path) -> None:
    table = pq.read_table(folder / SCORES_TABLE)
    pq.write_table(table.drop_columns(list(ADDED_LATER)), folder / SCORES_TABLE)
    assert len(cards_of(page_of(folder))) == 8
    pq.write_table(table.drop_columns(["seam"]), folder / SCORES_TABLE)
    with pytest.raises(InputError, match="seam"):
        write_report(Folder(str(folder)))


def test_an_evaluation_in_which_nothing_ran_still_has_a_report(folder: Path) -> None:
    summary = read_summary((folder / SUMMARY).read_bytes(), SUMMARY)
    rows = tuple(replace(row, unavailable="no weights", means={}, frechet=None) for row in summary.rows)
    change_summary(folder, rows=rows, differences=())
    pq.write_table(pa.Table.from_pylist([], SCORES), folder / SCORES_TABLE)
    html = page_of(folder)
    assert html.count("unavailable: no weights") == len(rows) and len(cards_of(html)) == 8


def test_pictures_take_the_largest_size_that_their_budget_allows() -> None:
    photo = photos(256)[0]
    sizes = [shrink(photo, budget) for budget in (100_000, 6_000, 3_000, 10)]
    assert all(one.width >= other.width and len(one.uri) > len(other.uri) for one, other in pairwise(sizes))
    assert sizes[0].width == LEVELS[0][0] and sizes[-1].width == LEVELS[-1][0]
    assert len(sizes[1].uri) <= 6_000 and len(sizes[2].uri) <= 3_000


def test_a_page_that_would_be_too_large_shows_fewer_cases_and_says_so(written: Path) -> None:
    summary = read_summary((written / SUMMARY).read_bytes(), SUMMARY)
    scores = read_scores((written / SCORES_TABLE).read_bytes(), SCORES_TABLE)
    shown = {"metrics": summary.metrics[2:], "ranked": summary.metrics[2]}
    choice = choose_cases(list(scores["identity"]), scores, shown["ranked"], most=8)
    read = make_cards(Folder(str(written)), choice, {}, scores, metrics=shown["metrics"], most_bytes=1 << 20)
    cards = list(read)
    full = make_page(summary, scores, choice, cards, **shown, notes=())
    bare = len(make_page(summary, scores, choice, [], **shown, notes=()).html)
    limit = bare + (len(full.html) - bare) // 3
    fewer = make_page(summary, scores, choice, cards, **shown, notes=(), most_bytes=limit)
    assert full.shown == 8 and 0 < fewer.shown < 8 and len(fewer.html) <= limit
    assert f"{fewer.shown} of 8: the worst and the best of each row".encode() in fewer.html


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "rows"), [(700, 10), (60, 60)])
def test_many_cases_and_many_rows_stay_within_eight_mebibytes(tmp_path: Path, cases: int, rows: int) -> None:
    many = [replace(ROWS[2], name=f"row-{number}", method=f"m{number % 12}") for number in range(rows)]
    write_evaluation(tmp_path / "run", cases=cases, rows=many, size=256)
    found = write_report(Folder(str(tmp_path / "run")))
    assert found.html_bytes <= 8 * 2**20 and found.shown == min(200, 2000 // (rows + 3))
