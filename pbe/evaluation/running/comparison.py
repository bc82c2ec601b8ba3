"""Comparison: config, bench and methods -> rows of a table, and parts of a few cases each. Imports no torch.

A part is one method at one guidance scale on `batch` neighbouring cases of the bench. Parts depend on the bench alone,
not on what is finished or on who makes them, so that any number of machines ends with the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pbe.editing.case import Case
from pbe.evaluation.bench.cases import Bench
from pbe.evaluation.methods.protocol import Method, facts_of
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.scores import row_folder


@dataclass(frozen=True)
class Line:
    """A row of the table: a method, one of its variants, a guidance scale.

    Args:
        method: its place in the comparison.
        guidance: None: the method takes none.
    """

    name: str
    method: int
    variant: str
    guidance: float | None


@dataclass(frozen=True)
class Part:
    """A method at a guidance scale on a few cases.

    Args:
        method: its place in the comparison.
        called: its name.
        guidance: None: the method takes none.
        rows: by variant, the name of the table's row.
        number: of these cases in the bench.
    """

    method: int
    called: str
    guidance: float | None
    rows: dict[str, str]
    number: int
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        """Of its files, without suffix."""
        return f"{row_folder(' '.join(self.rows.values()))}/{self.number:05d}"

    @property
    def record(self) -> str:
        """Where the record of its pictures lies."""
        return f"parts/{self.name}.json"

    @property
    def scores(self) -> str:
        """Where its scores lie."""
        return f"parts/{self.name}.parquet"


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Args:
        digest: 16 hex digits of the bench.
        methods: those that can run here.
        unavailable: the others, by name, with the reason.
        scales: guidance scales.
        batch: cases in a part.
    """

    out: Folder
    bench: Bench
    digest: str
    methods: tuple[Method, ...]
    unavailable: tuple[tuple[str, str], ...]
    scales: tuple[float, ...]
    batch: int

    def settings_of(self, part: Part) -> dict[str, Any]:
        """Return what decides a part's pictures besides its cases."""
        own = facts_of(self.methods[part.method]).settings
        return {"bench": self.digest, "guidance": part.guidance, "batch": self.batch, "method": own}

    def lines(self) -> Iterator[Line]:
        """Give the rows of the table: method by method, scale by scale, variant by variant."""
        for number, method in enumerate(self.methods):
            facts = facts_of(method)
            for scale in self.scales if facts.takes_guidance else (None,):
                shown = "" if scale is None else f" g={scale:g}"  # also of one alone: others may come later
                for variant in facts.variants:
                    yield Line(f"{method.name}{f' ({variant})' if variant else ''}{shown}", number, variant, scale)

    def parts(self) -> Iterator[Part]:
        """Give all parts: method by method, scale by scale."""
        rows: dict[tuple[int, float | None], dict[str, str]] = {}
        for line in self.lines():
            rows.setdefault((line.method, line.guidance), {})[line.variant] = line.name
        for (method, scale), named in rows.items():
            for first in range(0, len(self.bench.cases), self.batch):
                cases = self.bench.cases[first : first + self.batch]
                yield Part(method, self.methods[method].name, scale, named, first // self.batch, cases)


def refuse_twins(comparison: Comparison) -> None:
    """Refuse rows whose files would lie in one folder.

    Raises:
        InputError: two rows have one name.
    """
    folders: dict[str, str] = {}
    for row in (*(line.name for line in comparison.lines()), *(name for name, _ in comparison.unavailable)):
        if row_folder(row).casefold() in folders:
            other = folders[row_folder(row).casefold()]
            raise InputError(f"METHOD: {other} and {row} would share a folder of pictures; label one, as in NAME@LABEL")
        folders[row_folder(row).casefold()] = row
