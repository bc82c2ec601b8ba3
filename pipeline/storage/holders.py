"""Holders: who holds an output, and whether that process still lives."""

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Holder:
    """Who holds an output; `boot` and `pids` (the pid namespace) tell on which machine the pid has its meaning."""

    token: str
    host: str
    pid: int
    started: str  # by the clock of the machine's kernel, so that a pid used again is not taken for the holder
    boot: str
    pids: str
    renewed: int = 0

    @classmethod
    def here(cls) -> "Holder":
        """This process."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), pid, _started(pid), _boot(), _pids())

    @property
    def content(self) -> bytes:
        """As the lock stores it."""
        return json.dumps(asdict(self)).encode()


def describe_holder(found: dict[str, Any]) -> str:
    return f"host {found.get('host')}, pid {found.get('pid')}"


def is_dead(found: dict[str, Any]) -> bool:
    """Tell whether the holder is provably dead: it ran on this machine, and its process is gone."""
    here = (socket.gethostname(), _boot(), _pids())
    if not all(here) or (found.get("host"), found.get("boot"), found.get("pids")) != here:
        return False
    return bool(_started(int(found["pid"])) != found["started"])


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty where there is none, or no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # dead, though nobody has asked for its exit code yet


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _pids() -> str:
    path = Path("/proc/self/ns/pid")
    return str(path.readlink()) if path.is_symlink() else ""
