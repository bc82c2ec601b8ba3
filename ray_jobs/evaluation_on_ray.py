"""Evaluation on Ray: parts -> their pictures and scores, by a pool of actors that hold methods and encoders."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError

from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.running.working import Done, Todo
from pipeline.errors import InputError
from ray_jobs.cluster import Slots

MAX_RESTARTS = 2  # of an actor that died; the part in flight is begun again


class EvaluationActor:
    """Holds the methods and encoders of a comparison, and makes one part after the other.

    Args:
        folder: the driver's working directory, from which relative paths and a stranger's modules are found.
    """

    def __init__(self, config: EvaluateConfig, *, folder: str, device: str, threads: int) -> None:
        import torch

        from pbe.evaluation.running.working import open_worker

        if Path(folder).is_dir():
            os.chdir(folder)
        torch.set_num_threads(threads)
        self._worker = open_worker(replace(config, device=device))

    def work(self, todo: Todo) -> Done:
        """Make what a part lacks."""
        [done] = self._worker.work([todo])
        return done


def work_on_actors(config: EvaluateConfig, slots: Slots, todo: Sequence[Todo]) -> Iterator[Done]:
    """Make what parts lack, each by the first actor that is free.

    Parts of one method stand together, so that an actor rarely changes its weights.

    Raises:
        InputError: an actor cannot open what it needs.
        RayError: an actor died too often.
    """
    remote: Any = ray.remote(EvaluationActor).options(
        num_cpus=slots.cpus, num_gpus=slots.gpus, max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS
    )
    actors: list[Any] = [
        remote.remote(config, folder=str(Path.cwd()), device=slots.device, threads=slots.cpus)
        for _ in range(min(slots.count, len(todo)))
    ]
    waiting = list(reversed(todo))
    calls = {actor.work.remote(waiting.pop()): actor for actor in actors}
    try:
        while calls:
            [call], _ = ray.wait(list(calls))
            actor = calls.pop(call)
            if waiting:
                calls[actor.work.remote(waiting.pop())] = actor
            yield _result(call)
    finally:
        for actor in actors:
            ray.kill(actor)


def _result(call: "ray.ObjectRef[Done]") -> Done:
    try:
        done: Done = ray.get(call)
    except RayTaskError as error:
        if isinstance(error.cause, InputError):  # a user's mistake that only the actor could see
            raise InputError(str(error.cause)) from error
        raise
    return done
