"""Groups of real rank processes that start in a moment: forked off a process that has imported torch and DeepSpeed."""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.ports import free_ports

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.pbe.training.preloaded"])
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class RankGroup:
    """So many ranks running one function of a module, by name, with the same arguments."""

    def __init__(
        self, log: Path, function: str, arguments: Sequence[Any], *, world: int, patience_seconds: float = 200
    ) -> None:
        (port,) = free_ports(1)
        self.patience_seconds = patience_seconds
        self.ranks = [
            FORKS.Process(target=_run_rank, args=(rank, world, port, str(log), function, list(arguments)))
            for rank in range(world)
        ]

    def __enter__(self) -> "RankGroup":
        for rank in self.ranks:
            rank.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(signal.SIGKILL)
        for rank in self.ranks:
            rank.join(10)

    def kill(self, number: int, *, only: int | None = None) -> None:
        """Send a signal to all ranks, or to one."""
        for rank in self.ranks if only is None else [self.ranks[only]]:
            if rank.is_alive() and rank.pid:
                with suppress(ProcessLookupError):
                    os.kill(rank.pid, number)

    def wait(self) -> list[int | None]:
        """Wait for the end of all ranks; gives their exit codes."""
        deadline = time.monotonic() + self.patience_seconds
        for rank in self.ranks:
            rank.join(max(0.0, deadline - time.monotonic()))
        return [rank.exitcode for rank in self.ranks]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a running group brings about."""
        deadline = time.monotonic() + self.patience_seconds
        while not condition() and time.monotonic() < deadline and any(rank.is_alive() for rank in self.ranks):
            time.sleep(0.001)


def _run_rank(rank: int, world: int, port: int, log: str, function: str, arguments: list[Any]) -> None:
    values = (str(rank), str(rank), str(world), "127.0.0.1", str(port))
    os.environ.update(zip(RANK_VARIABLES, values, strict=True))
    with Path(log).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    module, name = function.rsplit(".", 1)
    code = getattr(importlib.import_module(module), name)(*arguments)
    sys.stdout.flush()
    os._exit(code or 0)
