"""Cards: chosen cases -> what the page shows of each: inputs, the hole, every row's picture with its scores."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pbe.editing.inputs import read_picture
from pbe.evaluation.bench.recorded import RecordedCase, open_recorded
from pbe.evaluation.report.choosing import Choice, Scores
from pbe.evaluation.report.numbers import EXACT, value_text
from pbe.evaluation.report.tables import PSNR
from pbe.evaluation.summary import Metric
from pipeline.ahead import work_ahead
from pipeline.arrays import Hole, Pixels
from pipeline.errors import InputError
from pipeline.pages.thumbnails import ShownPicture, mask_outline, show_picture
from pipeline.storage.folder import Folder
from schemas.scores import score_of

READERS = 4
GIVEN = ("source", "exemplar", "ground truth")
LEVELS = ((208, 60), (208, 40), (160, 40), (160, 25), (128, 25), (96, 25), (64, 25))
"""Width, px, and quality of pictures: each takes the first with which it is small enough."""
LEAST_BYTES = 0.1  # of a picture's data URI, by its width's square: hardly one takes less


@dataclass(frozen=True)
class Shown:
    """A row's picture of a case and its scores.

    Args:
        failed: why the row has no picture of it.
        problem: why the page cannot show the one that it has.
    """

    picture: ShownPicture | None
    scores: tuple[str, ...]
    failed: str = ""
    problem: str = ""


@dataclass(frozen=True)
class CaseCard:
    """A case as the page shows it.

    Args:
        outline: the hole as an SVG path, in px of the shown source; empty: not known.
        given: pictures by what they are: source, exemplar, ground truth.
        rows: by name.
        problems: why inputs are not shown.
    """

    name: str
    label: str
    reasons: tuple[str, ...]
    outline: str
    given: Mapping[str, ShownPicture]
    rows: Mapping[str, Shown]
    problems: tuple[str, ...] = field(default=())

    @property
    def failed(self) -> bool:
        """Whether a row has no picture of it."""
        return any(shown.failed for shown in self.rows.values())


def make_cards(
    folder: Folder,
    choice: Choice,
    bench: Mapping[str, RecordedCase],
    scores: Scores,
    *,
    metrics: Sequence[Metric],
    most_bytes: int,
) -> Iterator[CaseCard]:
    """Read the chosen cases on threads and make their cards, in order.

    Args:
        metrics: whose scores stand below each picture.
        most_bytes: of all pictures together; only the smallest and poorest of LEVELS may exceed it.
    """

    budget = most_bytes // max(1, len(choice.cases) * (len(scores) + len(GIVEN)))

    def make(case: str) -> CaseCard:
        rows = {name: cases[case] for name, cases in scores.items() if case in cases}
        outline, given, problems = _read_inputs(bench.get(case), budget)
        shown = {name: _show(folder, row, metrics, budget) for name, row in rows.items()}
        label = next((str(row["label"]) for row in rows.values() if row["label"]), "")
        return CaseCard(case, label, choice.reasons.get(case, ()), outline, given, shown, problems)

    with ThreadPoolExecutor(READERS) as pool:
        yield from work_ahead(pool, make, choice.cases, ahead=2 * READERS)


def score_text(row: Mapping[str, Any], key: str) -> str:
    """Write a case's score."""
    if key == PSNR and row["outside_exact"]:
        return EXACT
    return value_text(key, score_of(dict(row), key))


def _read_inputs(recorded: RecordedCase | None, budget: int) -> tuple[str, dict[str, ShownPicture], tuple[str, ...]]:
    """Read what a case was made from: the hole's outline, pictures, and why some are not there."""
    if recorded is None:
        return "", {}, ("its source, exemplar and mask are not recorded",)
    inputs = open_recorded(recorded)
    found = dict(zip(GIVEN, (inputs.source, inputs.exemplar, inputs.ground_truth), strict=True))
    given = {what: shrink(pixels, budget) for what, pixels in found.items() if pixels is not None}
    missing = {what: why for what, why in inputs.absent.items() if what != "ground truth" or recorded.case.ground_truth}
    outline = _outline(inputs.mask, given["source"]) if inputs.mask is not None and "source" in given else ""
    return outline, given, tuple(dict.fromkeys(missing.values()))


def _outline(mask: Hole, source: ShownPicture) -> str:
    return mask_outline(mask, source.width, source.height)


def _show(folder: Folder, row: Mapping[str, Any], metrics: Sequence[Metric], budget: int) -> Shown:
    """Read a row's picture of a case."""
    scores = tuple(score_text(row, metric.key) for metric in metrics)
    if row["failed"]:
        return Shown(None, scores, failed=str(row["failed"]))
    try:
        folder.path(row["picture"])  # refuses one that would leave the evaluation
        picture = read_picture(f"{folder.url.rstrip('/')}/{row['picture']}", "picture")
    except (InputError, ValueError) as error:
        return Shown(None, scores, problem=str(error))
    return Shown(shrink(picture, budget), scores)


def shrink(pixels: Pixels, budget: int) -> ShownPicture:
    """Make a picture as large as a budget of bytes allows; the smallest of LEVELS where none does."""
    for width, quality in [level for level in LEVELS if level[0] ** 2 * LEAST_BYTES <= budget] or LEVELS[-1:]:
        shown = show_picture(pixels, width, quality=quality)
        if len(shown.uri) <= budget:
            break
    return shown
