"""One Ray for all tests that do not claim to start their own: a head in a copy of the repository's root."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.ports import free_ports

ROOT = Path(__file__).parent.parent.parent
CODE = ("schemas", "pipeline", "pbe", "ray_jobs", "dashboards")
PORTS = ("port", "ray-client-server-port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port")
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Head:
    """A running head, and how to reach it.

    Args:
        root: the copy of the repository in which it was started, and in which submitted jobs run.
        address: for RAY_ADDRESS, of drivers that join.
        environment: of `ray job submit`.
        pid: of `ray start`, whose children are Ray's processes.
    """

    root: Path
    address: str
    environment: dict[str, str]
    pid: int

    def submit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `ray job submit` in the head's root, as a user there does."""
        command = [f"{sys.prefix}/bin/ray", "job", "submit", *arguments]
        return subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=400)


@contextmanager
def running_head(root: Path, environment: dict[str, str]) -> Iterator[Head]:
    """Start a head on ports of its own; only it is stopped afterwards.

    Args:
        root: an empty folder, which becomes a copy of the repository.
    """
    environment = {**environment, **LOOPBACK, "RAY_worker_niceness": "0"}  # Ray's own 15 starves on a busy machine
    for name in CODE:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".venv").symlink_to(sys.prefix)
    (root / ".gitignore").write_text(".venv\nruns/\n")
    session = Path(tempfile.mkdtemp(prefix="r"))  # not below pytest's folder: Ray's socket paths must stay short
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    start = [f"{sys.prefix}/bin/ray", "start", "--head", "--block", "--num-cpus=2", "--object-store-memory=200000000"]
    flags = [f"--temp-dir={session}", *(f"--{name}={port}" for name, port in ports.items())]
    with (root / "head.log").open("w") as log:
        process = subprocess.Popen(
            [*start, *flags], cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{ports['dashboard-port']}"
    head = Head(root, f"127.0.0.1:{ports['port']}", {**environment, "RAY_API_SERVER_ADDRESS": url}, process.pid)
    try:
        _wait_for_agent(ports["dashboard-agent-listen-port"], root / "head.log")
        yield head
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGTERM)
        for process_left in psutil.wait_procs(children, timeout=4)[1]:
            process_left.kill()
        process.kill()  # `ray start --block` takes half a minute to see that its children have ended
        process.wait()
        shutil.rmtree(session, ignore_errors=True)


def _wait_for_agent(port: int, log: Path) -> None:
    """Wait until the head takes jobs, which its agent is the last to do."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(log.read_text())
