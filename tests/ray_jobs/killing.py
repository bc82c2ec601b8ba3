"""Killing: run the shard job, SIGKILL parts of it at seeded moments, run it again, until its dataset is complete.

Victims: `driver` (the command itself), `actor` (a worker that holds an encoder), `node` (the raylet of the cluster's
second node, which is then added anew), `raylet` (that of a Ray which the job started itself; only without a cluster).
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from tests.ray_jobs.head import LOOPBACK, ROOT

os.environ.update(LOOPBACK)  # read when Ray is imported

from ray.cluster_utils import Cluster

SCRIPT = ROOT / "ray_jobs/shard_openimages.py"
POLL_SECONDS = 0.005
STORE_BYTES = 100 << 20
RUN_SECONDS = 300.0  # no run may take longer
MOST_RECORDS = 5  # new ones before a kill
LONGEST_DELAY_SECONDS = 0.4  # after them: it falls anywhere inside the next units
LONGEST_START_SECONDS = 8.0
EARLY_SHARE = 0.25  # of the driver's kills, at any moment since its start


def hashes(out: Path) -> dict[str, str]:
    """Hash every file of a dataset outside run/."""
    files = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items() if not n.startswith("run/")}


def finished(out: Path) -> dict[str, int]:
    """The records of finished units, with their shards' and their own time of writing."""
    times = {}
    for record in (out / "units").glob("*.json") if (out / "units").is_dir() else ():
        for path in (record, *out.glob(f"shards/*/{record.stem}.tar")):
            times[str(path)] = path.stat().st_mtime_ns
    return times


def kill_flags(sample_folder: Path, *, draws: int = 2, small: bool = False) -> list[str]:
    """Inputs with many small units: 100 real photos where they are, else the sample photos at four times the draws.

    Args:
        small: the sample photos in any case.
    """
    real = ROOT.parent / "shared/data/openimages_v6_train100"
    if real.is_dir() and not small:
        boxes, photos, draws = real / "oidv6-train-annotations-bbox.csv", real / "train", draws
        classes, photos_per_unit = real / "class-descriptions-boxable.csv", "3"
    else:
        boxes, photos, draws = sample_folder / "train-annotations-bbox.csv", sample_folder / "train", 4 * draws
        classes, photos_per_unit = sample_folder / "class-descriptions-boxable.csv", "1"
    inputs = ["smoke", "--boxes", str(boxes), "--images", str(photos), "--classes", str(classes)]
    return [*inputs, "--resolution", "128", "--photos-per-unit", photos_per_unit, "--draws", str(draws)]


@contextmanager
def two_node_cluster() -> Iterator[Any]:
    """Two nodes of one CPU each, on this machine."""
    store = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**store, "include_dashboard": False})
    cluster.add_node(**store)
    try:
        yield cluster
    finally:
        cluster.shutdown()


@dataclass
class KillChain:
    """One dataset, made through many kills.

    Args:
        flags: of the shard job, without --out.
        environment: of the job.
        cluster: a ray.cluster_utils.Cluster with a second node, or a Head where no node is killed; None where the job
            starts Ray itself.
    """

    out: Path
    flags: list[str]
    environment: dict[str, str]
    seed: int
    cluster: Any = None
    killed: list[str] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._job: subprocess.Popen[bytes] | None = None
        self._log = self.out.with_suffix(".log")
        if self.cluster:
            self.environment = {**self.environment, **LOOPBACK, "RAY_ADDRESS": self.cluster.address}

    def kill_all(self, victims: list[str]) -> None:
        """Kill each of the victims in turn, starting the job again whenever it has ended; then let it finish.

        Raises:
            AssertionError: finished work was done again, the job hung, or ended by a mistake of its own.
        """
        waiting = deque(victims)
        while waiting and not self._complete():
            if self._ended():
                self._start()
            self._await_moment(waiting[0])
            before = finished(self.out)
            if self._ended():
                self._expect_clean_end()
                continue
            if self._kill(waiting[0]):
                self.killed.append(waiting.popleft())
            self._check_kept(before)
        while not self._complete():
            if self._ended():
                self._start()
            self._wait()
        self._wait()

    def _start(self) -> None:
        self.runs += 1
        command = [sys.executable, str(SCRIPT), *self.flags, "--out", str(self.out)]
        with self._log.open("ab") as log:
            self._job = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self._began = time.monotonic()
        self._mortal = False

    def _ended(self) -> bool:
        return self._job is None or self._job.poll() is not None

    def _complete(self) -> bool:
        return (self.out / "manifest.json").exists()

    def _await_moment(self, victim: str) -> None:
        """Wait for a seeded moment: some new records and a while later; or, for the driver, at any time."""
        if victim == "driver" and self._rng.random() < EARLY_SHARE:
            self._sleep(self._began + self._rng.uniform(0, LONGEST_START_SECONDS) - time.monotonic())
            return
        goal = len(finished(self.out)) + self._rng.randint(1, MOST_RECORDS)
        while len(finished(self.out)) < goal and not self._ended():
            self._check_time()
            time.sleep(POLL_SECONDS)
        self._sleep(self._rng.uniform(0, LONGEST_DELAY_SECONDS))

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._ended():
            time.sleep(POLL_SECONDS)

    def _kill(self, victim: str) -> bool:
        """Kill it; False where there is none just now."""
        assert self._job
        if victim == "driver":
            self._job.kill()
            self._job.wait()
            return True
        if victim == "node":
            node = next(n for n in self.cluster.list_all_nodes() if n is not self.cluster.head_node)
            node.kill_raylet(check_alive=False)
            self.cluster.worker_nodes.discard(node)
            node.kill_all_processes(check_alive=False, allow_graceful=False)
            self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, wait=False)
            return True
        name = {"actor": "ray::UnitActor", "raylet": "raylet"}[victim]
        root = psutil.Process() if self.cluster else psutil.Process(self._job.pid)
        found = sorted((p for p in root.children(recursive=True) if _is(p, name)), key=lambda p: p.pid)
        if found:
            self._rng.choice(found).send_signal(signal.SIGKILL)
            self._mortal |= victim == "raylet"
        return bool(found)

    def _check_kept(self, before: dict[str, int]) -> None:
        """Nothing that was finished at a kill is ever written again."""
        self._kept = {**getattr(self, "_kept", {}), **before}
        now = finished(self.out)
        changed = [name for name, written in self._kept.items() if now.get(name) != written]
        assert not changed, changed

    def _wait(self) -> None:
        assert self._job
        while not self._ended():
            self._check_time()
            time.sleep(POLL_SECONDS)
        self._expect_clean_end()
        self._check_kept({})

    def _check_time(self) -> None:
        if time.monotonic() - self._began > RUN_SECONDS:
            assert self._job
            os.killpg(self._job.pid, signal.SIGKILL)
            raise AssertionError(f"the job hung; its log:\n{self._tail()}")

    def _expect_clean_end(self) -> None:
        """A job outlives its actors and nodes; only a Ray that it started itself may take it along."""
        assert self._job
        code = self._job.returncode
        assert code == 0 or self._mortal, f"exit code {code}; its log:\n{self._tail()}"

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


def kill_chains(
    folder: Path, flags: list[str], environment: dict[str, str], seed: int, victims: list[str], cluster: Any = None
) -> Iterator[KillChain]:
    """Kill all the victims in turn, over as many datasets as that takes; gives each when it is complete."""
    left = list(victims)
    for number in count():
        chain = KillChain(folder / f"d{number}", flags, environment, 1000 * seed + number, cluster)
        chain.kill_all(left)
        yield chain
        left = left[len(chain.killed) :]
        if not left:
            return


def _is(process: psutil.Process, name: str) -> bool:
    try:
        command = " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return name in command.split(" ")[0] or command.startswith(name)
