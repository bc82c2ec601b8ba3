"""Console: what a command does -> lines, and a bar for what takes more than a second."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from pipeline.storage.redaction import redact


def say(line: str) -> None:
    """Print a line above any progress bar."""
    tqdm.write(redact(line))
    sys.stdout.flush()


@contextmanager
def progress(what: str, unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar for what takes more than a second; yields what is to be called with the count so far."""
    with tqdm(desc=what, total=total, unit=f" {unit}", leave=False, delay=1) as bar:

        def tick(done: int) -> None:
            bar.update(done - bar.n)

        yield tick
