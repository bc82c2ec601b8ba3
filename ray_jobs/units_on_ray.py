"""Units on Ray: unit tasks -> records, by a pool of encoder actors in which a dead actor is replaced.

Each actor holds one unit at a time, so that the death of an actor, a worker or a whole node costs the units in flight
and nothing else: they are begun again, on whatever part of the cluster is left.
"""

import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.config import ShardConfig
from pipeline.errors import InputError
from pipeline.jobs.preparation import Prepared, load_encoders
from pipeline.photos.store import PhotoStore
from pipeline.planning.tasks import UnitTask
from pipeline.storage.folder import Folder
from pipeline.storage.redaction import redact
from pipeline.storage.retries import is_full
from pipeline.units.maker import UnitMaker
from ray_jobs.cluster import Slots, refuse_dead_cluster
from schemas.shards import UnitRecord

MAX_ATTEMPTS = 3
POLL_SECONDS = 1.0
PATIENCE_POLLS = 15  # polls without any actor, after which the wait is told


@dataclass(frozen=True)
class UnitResult:
    """What became of a unit: records and seconds by stage, or the error for which it failed."""

    unit: int
    records: list[UnitRecord]
    seconds: dict[str, float]
    error: str = ""
    trace: str = ""
    disk_full: bool = False


class UnitActor:
    """Holds the encoders, and turns one unit after the other into shards."""

    def __init__(
        self,
        config: ShardConfig,
        *,
        device: str,
        threads: int,
        class_names: dict[str, str],
        recipe_digest: str,
        fingerprints: tuple[str, str],
    ) -> None:
        self._config, self._device, self._threads = config, device, threads
        self._class_names, self._recipe_digest, self._fingerprints = class_names, recipe_digest, fingerprints

    def load(self) -> None:
        """Load the encoders.

        Raises:
            InputError: they are not the ones that the job began with.
        """
        config = self._config
        sources, exemplars = load_encoders(config, self._device)
        found = (sources.fingerprint, exemplars.fingerprint)
        if found != self._fingerprints:
            raise InputError(
                f"--vae, --clip: this node has other weights, {found}, than the job began with, {self._fingerprints}"
            )
        self._maker = UnitMaker(
            config=config,
            out=Folder(config.out),
            store=PhotoStore(config.images, anonymous=config.anonymous),
            sources=sources,
            exemplars=exemplars,
            class_names=self._class_names,
            recipe_digest=self._recipe_digest,
            threads=self._threads,
        )

    def make(self, task: UnitTask) -> UnitResult:
        """Make a unit; what it fails for is part of the result."""
        try:
            records, seconds = self._maker.make(task)
        except Exception as error:  # reported, with its traceback, and the job fails at its end; other units go on
            text = redact(f"{type(error).__name__}: {error}")
            return UnitResult(task.unit, [], {}, text, redact(traceback.format_exc()), is_full(error))
        return UnitResult(task.unit, records, seconds)


@dataclass(frozen=True)
class _Event:
    """An actor has loaded (no task), or is done with a task; without the actor when it died, with its node perhaps."""

    actor: Any | None
    task: UnitTask | None = None
    result: UnitResult | None = None


class _Pool:
    """Encoder actors: those that load, and those that work on a unit. An idle one is not kept."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self._calls: dict[Any, tuple[Any, UnitTask | None]] = {}  # what a call will give -> actor, and its unit

    @property
    def working(self) -> int:
        """How many units are in flight."""
        return sum(task is not None for _, task in self._calls.values())

    def grow(self, count: int) -> None:
        """Start actors up to this number."""
        while len(self._calls) < count:
            actor = self._start()
            self._calls[actor.load.remote()] = (actor, None)

    def work(self, actor: Any, task: UnitTask) -> None:
        """Give an actor a unit."""
        self._calls[actor.make.remote(task)] = (actor, task)

    def wait(self) -> list[_Event]:
        """Wait for POLL_SECONDS at most, and tell what has happened.

        Raises:
            InputError: an actor found that it cannot work here.
        """
        ready, _ = ray.wait(list(self._calls), timeout=POLL_SECONDS)
        return [self._event(call) for call in ready]

    def stop(self) -> None:
        """Kill all actors."""
        for actor, _ in self._calls.values():
            ray.kill(actor)

    def _event(self, call: Any) -> _Event:
        actor, task = self._calls.pop(call)
        try:
            return _Event(actor, task, ray.get(call))
        except RayTaskError:
            raise
        except RayError:  # the actor, its worker or its node died, or cannot be reached
            ray.kill(actor)
            return _Event(None, task)


def make_units(
    job: Prepared, tasks: list[UnitTask], slots: Slots, *, check: Callable[[], None], say: Callable[[str], None]
) -> Iterator[UnitResult]:
    """Make units on the cluster, and give each result as it comes.

    Args:
        check: called at least every few seconds; may raise to stop.
        say: told when the cluster has no room for an actor.
    """
    waiting = deque(tasks)
    attempts: Counter[int] = Counter()
    failed_loads = idle_polls = 0
    pool = _Pool(lambda: _start_actor(job, slots))
    try:
        while waiting or pool.working:
            pool.grow(min(slots.count, len(waiting) + pool.working))
            events = pool.wait()
            check()
            idle_polls = 0 if events or pool.working else idle_polls + 1
            if idle_polls and idle_polls % PATIENCE_POLLS == 0:
                refuse_dead_cluster()
                say(f"waiting for the cluster: no room for an encoder of {slots.cpus} CPUs and {slots.gpus} GPUs")
            for event in events:
                if event.task is None:
                    failed_loads = 0 if event.actor else failed_loads + 1
                    _refuse_endless_loads(failed_loads, slots)
                elif event.result is not None:
                    yield event.result
                elif attempts[event.task.unit] < MAX_ATTEMPTS:
                    waiting.appendleft(event.task)
                else:
                    error = f"its actor died {MAX_ATTEMPTS} times, out of memory perhaps; see Ray's logs"
                    yield UnitResult(event.task.unit, [], {}, error)
                if event.actor and waiting:
                    attempts[waiting[0].unit] += 1
                    pool.work(event.actor, waiting.popleft())
    finally:
        pool.stop()


def _refuse_endless_loads(failed_loads: int, slots: Slots) -> None:
    if failed_loads > MAX_ATTEMPTS * slots.count:
        raise InputError(
            f"--encoders {slots.count}: {failed_loads} actors in a row died while loading, out of memory perhaps; see "
            "Ray's logs, or give fewer --encoders"
        )


def _start_actor(job: Prepared, slots: Slots) -> Any:
    actor = ray.remote(UnitActor).options(num_cpus=slots.cpus, num_gpus=slots.gpus)
    return actor.remote(
        job.config,
        device=slots.device,
        threads=slots.cpus,
        class_names=job.class_names,
        recipe_digest=job.recipe_digest,
        fingerprints=(job.recipe["vae"]["fingerprint"], job.recipe["clip"]["fingerprint"]),
    )
