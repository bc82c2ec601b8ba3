"""Units on Ray: unit tasks -> results, by a pool of encoder actors in which a dead actor is replaced.

Each actor holds one unit at a time, so that the death of an actor, a worker or a node costs the units in flight
and nothing else: they are begun again, on whatever part of the cluster is left.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.config import ShardConfig
from pipeline.encoders.facts import EncoderFacts, facts_of
from pipeline.errors import InputError
from pipeline.jobs.inputs import CheckedInputs
from pipeline.jobs.preparation import PreparedJob
from pipeline.jobs.run import say
from pipeline.jobs.workshop import UnitResult, make_unit
from pipeline.photos.store import PhotoStore
from pipeline.planning.tasks import UnitTask
from pipeline.storage.folder import Folder
from ray_jobs.cluster import Slots, has_room, refuse_dead_cluster

if TYPE_CHECKING:
    from pipeline.units.maker import UnitMaker

MAX_ATTEMPTS = 3
POLL_SECONDS = 1.0
PATIENCE_POLLS = 15  # polls without any actor, after which the wait is reported
PROCESS_POLLS = 60  # in which the process of an actor that found room has come up


class UnitActor:
    """Holds the encoders, and turns one unit after the other into shards."""

    def __init__(self, config: ShardConfig, *, device: str, threads: int, class_names: dict[str, str]) -> None:
        self._config, self._device, self._threads = config, device, threads
        self._class_names = class_names
        self._maker: UnitMaker | None = None

    def load(self) -> EncoderFacts:
        """Load the encoders, and describe them.

        Raises:
            InputError: they cannot be loaded.
        """
        from pipeline.encoders.loading import load_encoders

        config = self._config
        self._encoders = load_encoders(config.vae, config.clip, device=self._device, dtype=config.dtype)
        return facts_of(*self._encoders)

    def make(self, task: UnitTask, recipe_digest: str, generation: int) -> UnitResult:
        """Make a unit; what it fails for is part of the result."""
        return make_unit(self._maker or self._start_maker(recipe_digest, generation), task)

    def _start_maker(self, recipe_digest: str, generation: int) -> "UnitMaker":
        from pipeline.units.maker import UnitMaker

        config = self._config
        self._maker = UnitMaker(
            config=config,
            out=Folder(config.out),
            store=PhotoStore(config.images, anonymous=config.anonymous),
            sources=self._encoders[0],
            exemplars=self._encoders[1],
            class_names=self._class_names,
            recipe_digest=recipe_digest,
            threads=self._threads,
            generation=generation,
        )
        return self._maker


@dataclass(frozen=True)
class _Event:
    """An actor has loaded its encoders (no task), or is done with a task; without the actor when it died."""

    actor: Any | None
    task: UnitTask | None = None
    encoders: EncoderFacts | None = None
    result: UnitResult | None = None


class _Pool:
    """Encoder actors that load, or work on a unit."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self._calls: dict[Any, tuple[Any, UnitTask | None]] = {}  # what a call will give -> actor, and its unit
        self._processes: dict[Any, Any] = {}  # what a call of `load` will give -> what is there once its process is up

    @property
    def working(self) -> int:
        """How many units are in flight."""
        return sum(task is not None for _, task in self._calls.values())

    @property
    def size(self) -> int:
        """How many actors load or work."""
        return len(self._calls)

    @property
    def loading(self) -> bool:
        """Whether the process of an actor is up that still loads."""
        return bool(self._processes) and bool(ray.wait(list(self._processes.values()), timeout=0)[0])

    def grow(self, count: int) -> None:
        """Start actors up to this number."""
        while len(self._calls) < count:
            actor = self._start()
            up = actor.__ray_ready__.remote()
            call = actor.load.remote()
            self._calls[call], self._processes[call] = (actor, None), up

    def work(self, actor: Any, task: UnitTask, job: PreparedJob) -> None:
        """Give an actor a unit."""
        self._calls[actor.make.remote(task, job.recipe_digest, job.intent.generation)] = (actor, task)

    def wait(self) -> list[_Event]:
        """Wait for POLL_SECONDS at most, and return what has happened.

        Raises:
            InputError: an actor found that it cannot work here.
        """
        ready, _ = ray.wait(list(self._calls), timeout=POLL_SECONDS)
        return [self._event(call) for call in ready]

    def stop(self) -> None:
        """Kill all actors that are busy."""
        for actor, _ in self._calls.values():
            ray.kill(actor)

    def _event(self, call: Any) -> _Event:
        actor, task = self._calls.pop(call)
        self._processes.pop(call, None)
        try:
            given = ray.get(call)
        except RayTaskError as error:
            if isinstance(error.cause, InputError):  # a user's mistake that only the actor could see
                raise InputError(str(error.cause)) from error
            raise
        except RayError:  # the actor, its worker or its node died, or cannot be reached
            ray.kill(actor)
            return _Event(None, task)
        return _Event(actor, result=given, task=task) if task else _Event(actor, encoders=given)


class RayWorkshop:
    """Encoder actors on a cluster; see pipeline.jobs.workshop.Workshop."""

    def __init__(self, checked: CheckedInputs, slots: Slots) -> None:
        self._checked, self._slots = checked, slots
        self._pool = _Pool(self._start_actor)
        self._loaded: list[Any] = []  # actors without a unit
        self._failed_loads = self._idle_polls = 0
        self._found_room = True

    @property
    def device(self) -> str:
        return self._slots.device

    def describe(self) -> str:
        slots = self._slots
        return f"{slots.count} x {slots.device} with {slots.cpus} thread{'s' if slots.cpus > 1 else ''}"

    def read_encoders(self) -> EncoderFacts:
        while True:
            self._grow(1)
            for event in self._wait():
                if event.encoders:
                    self._loaded.append(event.actor)
                    return event.encoders

    def make(self, job: PreparedJob, tasks: list[UnitTask], *, check: Callable[[], None]) -> Iterator[UnitResult]:
        waiting = deque(tasks)
        attempts: Counter[int] = Counter()

        def begin_next_unit(actor: Any) -> None:
            if waiting:
                attempts[waiting[0].unit] += 1
                self._pool.work(actor, waiting.popleft(), job)

        # No name is left here for an actor without a unit: Ray ends it then, and its CPUs are free for another, which
        # may need them where a node has died.
        while self._loaded:
            begin_next_unit(self._loaded.pop())
        while waiting or self._pool.working:
            self._grow(min(self._slots.count, len(waiting) + self._pool.working))
            events = self._wait()
            check()
            for event in events:
                if event.encoders:
                    _refuse_other_weights(event.encoders, job.encoders)
                elif event.result:
                    yield event.result
                elif event.task and attempts[event.task.unit] < MAX_ATTEMPTS:
                    waiting.appendleft(event.task)
                elif event.task:
                    error = f"its actor died {MAX_ATTEMPTS} times, out of memory perhaps; see Ray's logs"
                    yield UnitResult(event.task.unit, [], {}, error)
                if event.actor:
                    begin_next_unit(event.actor)

    def stop(self) -> None:
        """Kill all actors."""
        self._pool.stop()
        for actor in self._loaded:
            ray.kill(actor)

    def _grow(self, count: int) -> None:
        """Start actors up to this number, and note whether there was room for one."""
        if self._pool.size < count:
            self._found_room = has_room(self._slots)
            self._pool.grow(count)

    def _start_actor(self) -> Any:
        slots = self._slots
        actor = ray.remote(UnitActor).options(num_cpus=slots.cpus, num_gpus=slots.gpus)
        return actor.remote(
            self._checked.config, device=slots.device, threads=slots.cpus, class_names=self._checked.class_names
        )

    def _wait(self) -> list[_Event]:
        """Wait for the actors, and for a cluster that has no room for any.

        Raises:
            InputError: actors die again and again while they load.
            ClusterLostError: Ray itself has died.
        """
        events = self._pool.wait()
        self._idle_polls = 0 if events or self._pool.working else self._idle_polls + 1
        if self._idle_polls and self._idle_polls % PATIENCE_POLLS == 0:
            refuse_dead_cluster()
            say(self._describe_wait())
        for event in events:
            if event.task is None:
                self._failed_loads = 0 if event.actor else self._failed_loads + 1
        if self._failed_loads > MAX_ATTEMPTS * self._slots.count:
            raise InputError(
                f"--encoders {self._slots.count}: {self._failed_loads} actors in a row died while loading, out of "
                "memory perhaps; see Ray's logs, or give fewer --encoders"
            )
        return events

    def _describe_wait(self) -> str:
        """Say what an idle pool waits for."""
        slots = self._slots
        # What an actor that starts has taken is free no more: there is no room only where there was none before it.
        rising = self._found_room and self._idle_polls <= PROCESS_POLLS
        if self._pool.loading or rising or has_room(slots):
            return "encoders are starting"
        return f"waiting for the cluster: no room for an encoder of {slots.cpus} CPUs and {slots.gpus} GPUs"


def _refuse_other_weights(found: EncoderFacts, expected: EncoderFacts) -> None:
    """Refuse an actor whose node holds other weights.

    Raises:
        InputError: it does.
    """
    if found != expected:
        raise InputError(
            f"--vae, --exemplar-encoder: a node has other weights, {found.to_json()}, than the job began with, "
            f"{expected.to_json()}; give paths at which every node finds the same files"
        )
