"""Page: cards and charts -> one HTML file that asks for nothing outside itself."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboards.pictures import ORIGINS, PictureReader
from dashboards.rows import ChosenRows, OpenedDataset
from dashboards.sheet.cards import GRID, Card, make_cards
from dashboards.sheet.charts import area_histogram, class_bars, draw_mean_mask, funnel_bars, mask_shapes
from pipeline.pages.rendering import render as render_page
from pipeline.shards.kept_boxes import share_drawn, share_table

TEMPLATES = Path(__file__).parent / "templates"
DEFAULT_SAMPLES = 500


@dataclass(frozen=True)
class Sheet:
    """A finished page, how many samples it shows, and how many of these have no picture."""

    html: bytes
    shown: int
    failed: int


@dataclass(frozen=True)
class Filter:
    """A choice above the cards: the attribute it compares, its name, and each value with its count."""

    name: str
    title: str
    values: tuple[tuple[str, int], ...]


def make_sheet(
    dataset: OpenedDataset,
    chosen: ChosenRows,
    reader: PictureReader,
    *,
    where: Sequence[str] = (),
    progress: Callable[[int], Any] = lambda samples: None,
) -> Sheet:
    """Make the page of a dataset's chosen samples: equal input gives equal bytes.

    Args:
        where: the conditions that chose the samples, as written.
        progress: called with the number of samples read so far.
    """
    cards = []
    for card in make_cards(chosen.table.to_pylist(), reader):
        cards.append(card)
        progress(len(cards))
    failed = sum(card.pictures is None for card in cards)
    html = render(
        "dataset.html.jinja",
        dataset=dataset,
        chosen=chosen,
        where=where,
        cards=cards,
        failed=failed,
        origins=_count_origins(cards),
        filters=card_filters(cards),
        grid=GRID,
        funnel=funnel_bars(dataset),
        drawn=share_drawn(dataset.manifest["totals"]) if dataset.manifest else "",
        shares=share_table(dataset.manifest["totals"]) if dataset.manifest else {},
        classes=class_bars(chosen.table),
        areas=area_histogram(chosen.table),
        shapes=mask_shapes(chosen.table),
        mean=draw_mean_mask(chosen.table),
    )
    return Sheet(html, len(cards), failed)


def render(template: str, **values: Any) -> bytes:
    """Fill a template of this room; whatever it is given is text, never markup."""
    return render_page(TEMPLATES, template, values, filters={"loss": loss_text})


def card_filters(cards: Sequence[Card]) -> list[Filter]:
    """List what there is to choose from; what all samples have in common is no choice."""
    values = {
        ("label", "class"): [card.row["label_name"] for card in cards],
        ("split", "split"): [card.row["split"] for card in cards],
        ("shape", "mask"): [card.row["mask_shape"] for card in cards],
        ("fit", "fit"): [card.row["fit"] for card in cards],
        ("source", "source"): [card.pictures.origin if card.pictures else "none" for card in cards],
        ("exemplar", "exemplar"): [card.exemplar for card in cards],
    }
    return [
        Filter(name, title, tuple(sorted(Counter(map(str, found)).items())))
        for (name, title), found in values.items()
        if len(set(found)) > 1
    ]


def loss_text(loss: float | None) -> str:
    """Write a loss to four digits; a dash where there is none, and in words where it is not finite."""
    if loss is None:
        return "\N{EN DASH}"
    return f"{loss:.4g}" if math.isfinite(loss) else "not finite"


def _count_origins(cards: Sequence[Card]) -> list[tuple[str, int]]:
    """Say where the sources come from, and how many from where."""
    counts = Counter(card.pictures.origin for card in cards if card.pictures)
    return [(words, counts[origin]) for origin, words in ORIGINS.items() if counts[origin]]
