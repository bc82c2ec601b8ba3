"""Working: parts that lack pictures or scores -> both, one part after the other. Imports no torch itself."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from pbe.evaluation.bench.digests import digest_files
from pbe.evaluation.bench.opening import open_bench
from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.methods.attempts import RAISED, own_folder
from pbe.evaluation.running.comparison import Comparison, Part
from pbe.evaluation.running.editing import MadePart, make_pictures, read_pictures
from pbe.evaluation.running.opening import open_comparison
from pbe.evaluation.running.records import PartRecord
from pbe.evaluation.running.scorer import Scorer, open_scorer
from pbe.evaluation.running.scores_files import write_scores
from pipeline.ahead import work_ahead

WAITING = 1  # parts that wait for their scores: bounds the memory


@dataclass(frozen=True)
class Todo:
    """A part that lacks something.

    Args:
        record: of its pictures, where they are there and only its scores are missing.
    """

    part: Part
    record: PartRecord | None


@dataclass(frozen=True)
class Done:
    """A part that has all.

    Args:
        cases, failed: how many there are, and how many of them have no picture.
        log: tracebacks of what methods raised.
    """

    cases: int
    failed: int
    log: tuple[str, ...]


class Worker:
    """Makes what parts lack. A method lets go of its weights before the next one loads its own."""

    def __init__(self, comparison: Comparison, scorer: Scorer) -> None:
        self._comparison, self._scorer = comparison, scorer
        self._begun: int | None = None
        self._fault = ""

    def work(self, todo: Sequence[Todo]) -> Iterator[Done]:
        """Make them in order: the scores of one part while the pictures of the next are painted.

        Raises:
            InputError: an encoder cannot be opened, or a picture is not the one that was made.
        """
        with ThreadPoolExecutor(1) as pool:
            yield from work_ahead(pool, self._score, map(self._make, todo), ahead=WAITING)

    def close(self) -> None:
        """Let go of the last method's weights."""
        if self._begun is not None:
            end: Callable[[], object] = getattr(self._comparison.methods[self._begun], "end", lambda: None)
            with suppress(*RAISED), own_folder():  # its pictures are made; it only could not tidy up
                end()
        self._begun = None
        self._scorer.flush()

    def _make(self, todo: Todo) -> tuple[MadePart, tuple[str, ...]]:
        if todo.record:
            return read_pictures(self._comparison.out, todo.part, todo.record), ()
        log: list[str] = []
        fault = self._begin(todo.part.method, log.append)
        return make_pictures(self._comparison, todo.part, fault=fault, log=log.append), tuple(log)

    def _score(self, made: tuple[MadePart, tuple[str, ...]]) -> Done:
        part, log = made
        write_scores(self._comparison.out, part, self._scorer)
        return Done(len(part.part.cases), len(part.record.failed), log)

    def _begin(self, number: int, log: Callable[[str], object]) -> str:
        """Show a method the bench before its first edit; returns why it cannot edit: what it raised."""
        if number != self._begun:
            self.close()
            self._begun, self._fault = number, ""
            method = self._comparison.methods[number]
            begin: Callable[..., object] = getattr(method, "begin", lambda bench: None)
            try:
                with own_folder():
                    begin(self._comparison.bench)
            except RAISED as error:
                self._fault = f"its begin() raises {type(error).__name__}: {error}"
                log(f"{method.name}:\n{''.join(traceback.format_exception(error))}")
        return self._fault


def open_worker(config: EvaluateConfig) -> Worker:
    """Open all that parts are made with, in a process of its own.

    Raises:
        InputError: an encoder cannot be opened here.
    """
    bench = open_bench(config.bench, annotations=config.annotations, limit=config.limit, seed=config.seed)
    comparison = open_comparison(config, bench, digest_files(bench))
    return Worker(comparison, open_scorer(config, comparison))
