"""Run log: the runs of a command on one output -> a line of JSON each: when it began, when and how it ended.

A run's line is written when it begins and replaced when it ends: one without `ended` is under way, or was killed.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Literal

from pipeline.errors import InputError, LockLostError
from pipeline.storage.redaction import redact

RUNS = "runs.jsonl"
How = Literal["complete", "failed", "interrupted", "refused"]


class RunLog:
    """The line of one run, for whoever holds the output.

    Args:
        earlier: the log so far; None: there is none yet.
        write: replaces it.
    """

    def __init__(self, earlier: bytes | None, write: Callable[[bytes], object]) -> None:
        self.how: How = "complete"
        """How it ends, unless by an exception."""
        self.counts: dict[str, int] = {}
        """What there is to do, once the run is found to be in order, and what was done."""
        self._earlier, self._write = earlier or b"", write
        self._clock, self._began = time.monotonic(), _now()
        self.note()

    def note(self, **end: str) -> None:
        """Write the line, with all counts and, of a run that has ended, how."""
        line = {"began": self._began, **end, **self.counts}
        if end:
            line["seconds"] = round(time.monotonic() - self._clock, 1)
        self._write(self._earlier + redact(json.dumps(line)).encode() + b"\n")


@contextmanager
def logged(earlier: bytes | None, write: Callable[[bytes], object]) -> Iterator[RunLog]:
    """Log a run: a mistake before it has counts is a refusal, later a failure. What ends it passes through.

    Args:
        earlier, write: as RunLog takes them.
    """
    log = RunLog(earlier, write)
    try:
        yield log
    except BaseException as error:
        refused = isinstance(error, InputError) and not log.counts
        how = "interrupted" if isinstance(error, KeyboardInterrupt) else "refused" if refused else "failed"
        why = str(error).partition("\n")[0] or type(error).__name__
        with suppress(OSError, LockLostError):  # of a full disk or a lost output the first error is the one to report
            log.note(ended=_now(), how=how, why=why)
        raise
    log.note(ended=_now(), how=log.how)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
