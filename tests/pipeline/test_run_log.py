import json
from collections.abc import Callable

import pytest

from pipeline.errors import InputError, LockLostError
from pipeline.run_log import RunLog, logged


class Log:
    """A log in memory."""

    def __init__(self) -> None:
        self.content: bytes | None = None

    def write(self, content: bytes) -> None:
        self.content = content

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.content or b"").splitlines()]

    def run(self, body: Callable[[RunLog], None]) -> None:
        with logged(self.content, self.write) as log:
            body(log)


def raising(error: BaseException, **counts: int) -> Callable[[RunLog], None]:
    def body(log: RunLog) -> None:
        log.counts |= counts
        raise error

    return body


ENDS: dict[str, tuple[BaseException, dict[str, int], str]] = {
    "refused": (InputError("--seed 5: another recipe\nand more"), {}, "--seed 5: another recipe"),
    "failed": (InputError("a sample is damaged"), {"made": 3}, "a sample is damaged"),
    "interrupted": (KeyboardInterrupt(), {"made": 1}, "KeyboardInterrupt"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_run_is_logged_with_its_end_its_reason_and_its_seconds_and_what_ended_it_passes_through(how: str) -> None:
    error, counts, why = ENDS[how]
    log = Log()
    with pytest.raises(type(error)):
        log.run(raising(error, **counts))
    [line] = log.lines
    assert (line["how"], line["why"]) == (how, why) and counts.items() <= line.items()
    assert str(line["began"]) <= str(line["ended"]) and line["seconds"] == pytest.approx(0, abs=5)
    log.run(lambda log: None)
    assert [line["how"] for line in log.lines] == [how, "complete"]


def test_a_killed_run_stays_as_a_line_without_an_end() -> None:
    log = Log()
    RunLog(log.content, log.write)  # and nothing more
    log.run(lambda log: None)
    assert [line.keys() for line in log.lines] == [{"began"}, {"began", "ended", "how", "seconds"}]


@pytest.mark.parametrize("fault", [LockLostError("taken over"), OSError(28, "no space")])
def test_an_end_that_cannot_be_written_hides_no_error(fault: Exception) -> None:
    log = Log()
    writes = [log.write]

    def write(content: bytes) -> None:
        if not writes:
            raise fault
        writes.pop()(content)

    with pytest.raises(InputError, match="the first"), logged(None, write):
        raise InputError("the first")
    assert [line.keys() for line in log.lines] == [{"began"}]
