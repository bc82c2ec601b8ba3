"""The page: equal bytes, text that stays text, nothing from outside, and small enough to send."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from dashboards.pictures import PictureReader
from dashboards.rows import ChosenRows, choose_rows, open_rows
from dashboards.sheet.page import DEFAULT_SAMPLES, Sheet, make_sheet
from pipeline.decoding.jpeg import encode_jpeg
from pipeline.pages.rendering import percent
from pipeline.shards.samples import Row
from pipeline.storage.folder import Folder
from schemas.shards import MANIFEST, json_bytes
from tests.pipeline.verification.resigned import sign

MIB = 2**20
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\"'&{{ 7*7 }}"


def make_page(folder: Path, *, times: int = 1, **changes: Any) -> Sheet:
    """The page of a dataset, each sample so many times, in all of whose rows some columns have another value."""
    dataset = open_rows(Folder(str(folder)))
    chosen = choose_rows(dataset, limit=0)
    rows = [{**row, **changes} for row in chosen.table.to_pylist() * times]
    table = pa.Table.from_pylist(rows, schema=chosen.table.schema)
    return make_sheet(dataset, ChosenRows(table, len(rows), ()), PictureReader(dataset.folder, dataset.recipe))


def test_equal_datasets_give_equal_pages_wherever_they_lie(finished: Path, dataset: Path) -> None:
    pages = {make_page(folder).html for folder in (finished, dataset, finished)}
    assert len(pages) == 1
    assert str(finished).encode() not in pages.pop()


def test_every_sample_has_its_card_with_what_is_known_of_it(finished: Path) -> None:
    sheet = make_page(finished)
    rows = choose_rows(open_rows(Folder(str(finished))), limit=0).table.to_pylist()
    cards = re.findall(r"<article .*?</article>", sheet.html.decode(), re.DOTALL)
    assert (sheet.shown, sheet.failed, len(cards)) == (14, 0, 14)
    for row, card in zip(rows, cards, strict=True):
        for said in (row["key"], row["label_name"], row["split"], row["mask_shape"], row["fit"], f"draw {row['draw']}"):
            assert said in card
        assert card.count("data:image/webp;base64,") == 3  # the masked source is the source once more
        assert f'data-cover="{row["cover"]:.4g}"' in card
        assert f"<dd>{percent(row['mask_share'])}</dd>" in card
        assert ("at the border" in card) == row["at_border"]


def test_the_top_says_what_this_is(finished: Path) -> None:
    dataset = open_rows(Folder(str(finished)))
    top = make_page(finished).html.decode().partition("<article ")[0]
    for said in ("All <b>14</b> samples", "complete", dataset.digest[:16], "sources as stored", "From box rows to"):
        assert said in top
    funnel = {"box rows: read": 25, "filtered: area": 4, "boxes: not drawn": 8, "samples: written": 14}
    for stage, count in funnel.items():
        assert re.search(rf">{stage}</span><i [^>]*></i><b>{count}</b>", top)
    assert "61.9 % with this dataset's 2 draws a photo" in top
    for draws, share in {"1 draw": "33.3", "2 draws": "61.9", "4 draws": "95.2", "8 draws": "100.0"}.items():
        assert re.search(rf">{draws}</span><i [^>]*></i><b>{share} %</b>", top)
    (finished / MANIFEST).rename(finished / "aside")
    try:
        unfinished = make_page(finished).html.decode().partition("<article ")[0]
    finally:
        (finished / "aside").rename(finished / MANIFEST)
    assert "unfinished: 6 finished shards so far" in unfinished and "From photos to samples" in unfinished
    assert "Kept boxes drawn" not in unfinished


def test_of_a_dataset_of_an_earlier_version_only_its_own_share_is_told(dataset: Path) -> None:
    manifest = json.loads((dataset / MANIFEST).read_text())
    del manifest["totals"]["photos_by_boxes"]
    (dataset / MANIFEST).write_bytes(json_bytes(sign(manifest)))
    top = make_page(dataset).html.decode().partition("<article ")[0]
    assert "61.9 % with this dataset's 2 draws a photo</small>" in top and ">4 draws</span>" not in top


def test_names_from_the_dataset_are_text_wherever_they_stand(finished: Path) -> None:
    html = make_page(finished, label_name=HOSTILE, key=HOSTILE, split=HOSTILE, mask_shape=HOSTILE).html.decode()
    assert html.count("<script>") == html.count("</script>") == 1
    assert "<img src=x" not in html and "49" not in re.findall(r"<h2>(.*?)</h2>", html)[0]
    assert html.count("&lt;/script&gt;&lt;script&gt;") > 14 * 4


def test_the_page_asks_for_nothing_outside_itself(finished: Path) -> None:
    html = make_page(finished).html.decode()
    assert "default-src 'none'" in html
    addresses = re.findall(r"""(?:src|href|action|srcset)\s*=\s*["']?([^"'\s>]+)""", html)
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"https?:|@import|url\(", html)


def test_a_sample_that_cannot_be_read_has_a_card_that_says_so(dataset: Path) -> None:
    (dataset / "shards/train/000001-d00.tar").unlink()
    sheet = make_page(dataset)
    html = sheet.html.decode()
    assert (sheet.shown, sheet.failed) == (14, 3)
    assert html.count('<p class="gone">shards/train/000001-d00.tar is gone</p>') == 3
    assert "3 of these samples cannot be shown" in html.partition("<article ")[0]


def test_a_dataset_without_a_sample_has_a_page_that_says_so(finished: Path) -> None:
    dataset = open_rows(Folder(str(finished)))
    none = ChosenRows(choose_rows(dataset, limit=0).table.slice(0, 0), 0, ("index/x.parquet: missing",))
    html = make_sheet(dataset, none, PictureReader(dataset.folder, dataset.recipe), where=["draw>9"]).html.decode()
    assert "No sample meets the conditions." in html and "index/x.parquet: missing" in html
    assert "<form" not in html


def test_a_page_of_the_default_number_of_real_photos_is_small_enough_to_send(
    finished: Path, sample_folder: Path
) -> None:
    photos = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in sorted((sample_folder / "train").iterdir())]
    sources = [encode_jpeg(_square(photo, 512)) for photo in photos]
    dataset = open_rows(Folder(str(finished)))
    every = choose_rows(dataset, limit=0)

    class LargeSources(PictureReader):
        """Shows each sample on one of the photos at the size of a real dataset."""

        def _find_source(self, row: Row, members: dict[str, bytes], exemplar: Any) -> Any:
            source = sources[row["box_id"] % len(sources)]
            return super()._find_source(row, {**members, "source.jpg": source}, exemplar)

    sheet = make_sheet(dataset, every, LargeSources(dataset.folder, dataset.recipe))
    cards = sheet.html[sheet.html.index(b"<article ") :]
    assert len(cards) / sheet.shown * DEFAULT_SAMPLES <= 8 * MIB


def _square(pixels: np.ndarray, side: int) -> Any:
    size = min(pixels.shape[:2])
    return cv2.resize(pixels[:size, :size], (side, side), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.0, "0.0%"), (0.034, "3.4%"), (0.0996, "10%"), (0.344, "34%"), (1.0, "100%"), (None, "\N{EN DASH}")],
)
def test_shares_are_written_with_two_digits(share: float | None, written: str) -> None:
    assert percent(share) == written
