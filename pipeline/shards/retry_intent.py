"""Retry intent: the units that are being made anew, and who may write <-> run/retry.json.

How a retry goes is described in pipeline.jobs.retrying.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from pipeline.storage.folder import Folder

RETRY = "run/retry.json"


@dataclass(frozen=True)
class RetryIntent:
    """What an output says of its last retry.

    Args:
        generation: how many retries it has seen; who began under an older one writes no more.
        units: to be made anew; empty: all of them are made.
        draws: that the dataset had when the retry began.
        removed: whether their old records are gone, so that those found now are new ones.
    """

    generation: int = 0
    units: tuple[int, ...] = ()
    draws: int = 0
    removed: bool = True


def read_intent(out: Folder) -> RetryIntent:
    """Read the intent of an output; of one that has seen no retry, generation 0."""
    content = out.read_if_there(RETRY)
    if content is not None:
        # Written whole or not at all: what cannot be read was damaged by others. Nothing is lost without it, since
        # units that keep some of their old records are completed to match these.
        with suppress(ValueError, TypeError, KeyError):
            kept = json.loads(content)
            units = tuple(map(int, kept["units"]))
            return RetryIntent(int(kept["generation"]), units, int(kept["draws"]), bool(kept["removed"]))
    return RetryIntent()


def write_intent(out: Folder, intent: RetryIntent) -> None:
    """Replace the intent of an output."""
    out.write_json(RETRY, asdict(intent))
