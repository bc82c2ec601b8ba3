"""Workshop: where units are made: on Ray's actors, or on the threads of one process. Unit tasks -> results."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.encoders.facts import EncoderFacts
from pipeline.errors import LockLostError
from pipeline.jobs.inputs import CheckedInputs
from pipeline.jobs.preparation import PreparedJob
from pipeline.planning.tasks import UnitTask
from pipeline.storage.redaction import redact
from pipeline.storage.retries import is_full
from schemas.shards import UnitRecord

if TYPE_CHECKING:
    from pipeline.units.maker import UnitMaker


@dataclass(frozen=True)
class UnitResult:
    """What became of a unit: records and seconds by stage, or the error for which it failed."""

    unit: int
    records: list[UnitRecord]
    seconds: dict[str, float]
    error: str = ""
    trace: str = ""
    disk_full: bool = False


class Workshop(Protocol):
    """Encoders, and what runs them."""

    @property
    def device(self) -> str:
        """Where the encoders run: cpu or cuda."""
        ...

    def describe(self) -> str:
        """Describe it for the summary: `2 x cpu with 1 thread`."""
        ...

    def read_encoders(self) -> EncoderFacts:
        """Load the encoders once, fingerprints included.

        Raises:
            InputError: they cannot be loaded.
        """
        ...

    def make(self, job: PreparedJob, tasks: list[UnitTask], *, check: Callable[[], None]) -> Iterator[UnitResult]:
        """Make units, and yield each result as it comes.

        Args:
            check: called at least every few seconds; may raise to stop.
        """
        ...


OpenWorkshop = Callable[[CheckedInputs, str], AbstractContextManager[Workshop]]  # the device: auto, cpu or cuda


def make_unit(maker: "UnitMaker", task: UnitTask) -> UnitResult:
    """Make a unit; what it fails for is part of the result.

    Raises:
        LockLostError: another job has taken the output over.
    """
    try:
        records, seconds = maker.make(task)
    except LockLostError:
        raise
    except Exception as error:  # reported, with its traceback, and the job fails at its end; other units go on
        text = redact(f"{type(error).__name__}: {error}")
        return UnitResult(task.unit, [], {}, text, redact(traceback.format_exc()), is_full(error))
    return UnitResult(task.unit, records, seconds)
