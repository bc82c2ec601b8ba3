"""Summary: what a comparison found -> summary.json and back. The report, the run view and the tables read nothing else
but this and scores.parquet. Imports no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.errors import InputError

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Mean:
    """A mean over cases, with a bootstrap interval over them.

    Args:
        low, high: of the 95 % interval; None: too few cases for one.
        n: cases that have a value.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class SetDistance:
    """A Fréchet distance: of a set, not a mean over cases, so that it has no bootstrap interval.

    Args:
        floor: what n pictures drawn from the real ones themselves would score: the bias at this n; None: not measured.
        extrapolated: to an infinite n, over subsets without replacement; None: too few cases.
    """

    value: float
    n: int
    floor: float | None
    extrapolated: float | None


@dataclass(frozen=True)
class Metric:
    """A column of the table.

    Args:
        key: a column of SCORES, `similarity:` and an encoder's name, or `frechet`.
        title: as the table has it; never FID or CLIP score on other features than theirs.
        unavailable: why nothing has a value; empty: something may.
    """

    key: str
    title: str
    better: Better
    unavailable: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the table: a method, one of its variants, one guidance scale.

    Args:
        name: unique in the comparison.
        notes: what a reader must know of it, such as `untrained weights`.
        unavailable: why it did not run; then it has no numbers.
        cases: of the bench; those that failed are among them.
        means: by metric's key.
        copy_normalised: (mean copy_paste - mean of unrelated pairs) / (that of pasted exemplars - the same).
    """

    name: str
    method: str
    variant: str = ""
    guidance: float | None = None
    notes: tuple[str, ...] = ()
    unavailable: str = ""
    cases: int = 0
    failed: int = 0
    means: Mapping[str, Mean] = field(default_factory=dict)
    frechet: SetDistance | None = None
    copy_normalised: float | None = None


@dataclass(frozen=True)
class Difference:
    """One metric of two rows on the cases that both have, paired.

    Args:
        mean: of first - second.
        p, p_holm: two-sided, alone and corrected for all differences of this metric.
    """

    metric: str
    first: str
    second: str
    mean: Mean
    p: float
    p_holm: float


@dataclass(frozen=True)
class BenchFacts:
    """Which bench this was.

    Args:
        kind: cocoee, cases, cut.
        digest: 16 hex digits of its cases and their files.
        shares_exemplar: the exemplar is cut out of the ground truth (reconstruction): no copy score.
    """

    name: str
    kind: str
    cases: int
    digest: str
    shares_exemplar: bool = False


@dataclass(frozen=True)
class Summary:
    """All of it.

    Args:
        banners: loud ones, above the table.
        notes: quiet ones, below it.
    """

    bench: BenchFacts
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...] = ()
    banners: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Write it, sorted, without a clock; numbers that are not finite are refused.

        Raises:
            ValueError: one is not finite.
        """
        return (json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def read_summary(content: bytes, place: str) -> Summary:
    """Read a summary.

    Args:
        place: names it in errors.

    Raises:
        InputError: it is torn, or not a summary of this version.
    """
    try:
        given: dict[str, Any] = json.loads(content)
        return Summary(
            bench=BenchFacts(**given["bench"]),
            metrics=tuple(Metric(**each) for each in given["metrics"]),
            rows=tuple(_row(each) for each in given["rows"]),
            differences=tuple(Difference(**{**each, "mean": Mean(**each["mean"])}) for each in given["differences"]),
            banners=tuple(given["banners"]),
            notes=tuple(given["notes"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{place}: is not the summary of an evaluation ({error}); run pbe.evaluate again") from error


def _row(given: dict[str, Any]) -> Row:
    means = {key: Mean(**mean) for key, mean in given["means"].items()}
    frechet = SetDistance(**given["frechet"]) if given["frechet"] else None
    return Row(**{**given, "notes": tuple(given["notes"]), "means": means, "frechet": frechet})
