"""Edits page: the edits of a folder -> one HTML file, a row of results for each seed."""

from collections.abc import Callable
from typing import Any

from dashboards.edits import Edits
from dashboards.sheet.edit_cards import common_settings, make_edit_cards
from dashboards.sheet.page import Sheet, render
from pipeline.rng import rng_for

DEFAULT_EDITS = 100


def make_edits_sheet(
    edits: Edits, *, limit: int = DEFAULT_EDITS, progress: Callable[[int], Any] = lambda read: None
) -> Sheet:
    """Make the page of a folder of edits, a seeded choice where there are more than `limit`.

    Args:
        progress: called with the number of edits read so far.
    """
    chosen = list(edits.edits)
    if 0 < limit < len(chosen):
        chosen = [chosen[place] for place in sorted(rng_for(0, "browse").permutation(len(chosen))[:limit])]
    cards = []
    for card in make_edit_cards(chosen):
        cards.append(card)
        progress(len(cards))
    failed = sum(card.failed for card in cards)
    pictures = sum(len(card.edit.pictures) for card in cards)
    html = render(
        "edits.html.jinja",
        cards=cards,
        total=len(edits.edits),
        pictures=pictures,
        failed=failed,
        notes=edits.notes,
        common=common_settings(chosen),
    )
    return Sheet(html, len(cards), failed)
