"""Running: subjects -> what came out, how long it took, what it needed."""

import faulthandler
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SLOWEST_SECONDS = 10.0
HUNG_SECONDS = 120


@dataclass(frozen=True)
class Subject:
    """What is fuzzed."""

    name: str
    """Of its column in the table."""
    count: int
    write: Callable[[int, Path], None]
    """Make the input of this number, at this place: a file or a folder."""
    outcome: Callable[[Path], str]
    """Take the input at this place all the way: what came out of it, or the reason why nothing did."""
    bound_bytes: int
    """What this may need of memory, beyond what the process had when it began."""


class Run:
    """Tries inputs one by one.

    Args:
        name: of the places where inputs lie.
    """

    def __init__(self, name: str) -> None:
        self.name, self.place = name, Path(tempfile.mkdtemp()) / f"pbe-fuzz-{name}-now"
        self.outcomes: dict[str, Counter[str]] = {}
        self.slowest = self.seconds = 0.0
        self.at_first, self.bound = peak_bytes(), 0
        self.faults: list[str] = []

    def try_all(self, subject: Subject) -> None:
        self.outcomes[subject.name] = Counter()
        self.bound = max(self.bound, peak_bytes() + subject.bound_bytes)
        began = time.perf_counter()
        for number in range(subject.count):
            self._try(subject, number)
        self.seconds += time.perf_counter() - began

    def _try(self, subject: Subject, number: int) -> None:
        _remove(self.place)
        subject.write(number, self.place)  # before, so that it is there after a crash or hang
        faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)
        began = time.perf_counter()
        try:
            self.outcomes[subject.name][subject.outcome(self.place)] += 1
        except Exception as error:  # what this looks for
            self._keep(subject, number, f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - began
        faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, seconds)
        if seconds > SLOWEST_SECONDS:
            self._keep(subject, number, f"{seconds:.1f} s, more than {SLOWEST_SECONDS:.0f}")

    def _keep(self, subject: Subject, number: int, what: str) -> None:
        kept = self.place.with_name(f"pbe-fuzz-{self.name}-{subject.name.replace(' ', '-')}-{number}")
        _remove(kept)
        if self.place.is_dir():
            shutil.copytree(self.place, kept)
        else:
            shutil.copy(self.place, kept)
        self.faults.append(f"{kept}: {what}")

    def report(self) -> None:
        """Print the table; exit 1 if there was a fault."""
        _print_table(self.outcomes)
        peak = peak_bytes()
        print(f"\n{self.seconds:.0f} s in all, the slowest input {self.slowest:.2f} s (limit {SLOWEST_SECONDS:.0f} s)")
        print(f"peak memory {_gib(peak)} GiB ({_gib(self.at_first)} before), bound {_gib(self.bound)} GiB")
        if peak > self.bound:
            self.faults.append(f"memory: {peak} bytes, the bound is {self.bound}")
        if self.faults:
            sys.exit("\n".join(self.faults))
        shutil.rmtree(self.place.parent)


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f}"


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _print_table(outcomes: dict[str, Counter[str]]) -> None:
    totals = {name: max(1, sum(counts.values())) for name, counts in outcomes.items()}
    print("| outcome |" + "".join(f" {name} | share |" for name in outcomes))
    print("|---|" + "---|---|" * len(outcomes))
    together = sum(outcomes.values(), Counter())
    for reason, _ in together.most_common():
        cells = "".join(
            f" {counts[reason]:,} | {counts[reason] / totals[name]:.1%} |" for name, counts in outcomes.items()
        )
        print(f"| {reason} |{cells}")
