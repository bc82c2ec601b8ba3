"""Holders: which process holds an output, whether it still lives, and whether it still may write."""

import json
import math
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, LockLostError

LOST_SECONDS = 40.0  # a holder that could not renew its lock for so long stops before others may take over


@dataclass
class Hold:
    """An output that this process holds."""

    renewed: float = math.inf  # by this machine's monotonic clock; a file lock needs no renewal
    lost: bool = False

    def check(self) -> None:
        """Go on only while the output is held.

        Raises:
            LockLostError: another job has taken it over, or may do so soon.
        """
        if self.lost or time.monotonic() - self.renewed > LOST_SECONDS:
            raise LockLostError("the lock on the output was lost: it could not be renewed in time, or was taken over")


@dataclass(frozen=True)
class Holder:
    """The process that holds an output; its pid has a meaning only within `boot` and `pids`, the pid namespace."""

    token: str
    host: str
    pid: int
    started: str  # by the kernel's clock, so that another process with the same pid is not taken for the holder
    boot: str
    pids: str
    renewed: int = 0

    @classmethod
    def here(cls) -> "Holder":
        """Describe this process."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), pid, _started(pid), _boot(), _pids())

    @property
    def content(self) -> bytes:
        """The holder as the lock stores it."""
        return json.dumps(asdict(self)).encode()


def describe_holder(holder: dict[str, Any]) -> str:
    """Name a holder for messages."""
    return f"host {holder.get('host')}, pid {holder.get('pid')}"


def held_elsewhere(url: str, holder: str) -> InputError:
    """Make the error of an output that another job holds."""
    return InputError(
        f"--out {url}: another job is writing to it ({holder}); wait until it ends, or give another --out"
    )


def is_dead(holder: dict[str, Any]) -> bool:
    """Whether a holder is provably dead: it ran on this machine, and its process is gone."""
    here = (socket.gethostname(), _boot(), _pids())
    if not all(here) or (holder.get("host"), holder.get("boot"), holder.get("pids")) != here:
        return False
    return bool(_started(int(holder["pid"])) != holder["started"])


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; empty where there is none, or no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # dead, though its parent has not collected its exit code yet


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _pids() -> str:
    path = Path("/proc/self/ns/pid")
    return str(path.readlink()) if path.is_symlink() else ""
