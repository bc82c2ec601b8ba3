"""Verification on Ray: the units of a dataset -> what is wrong with them, found in parallel.

Workers import this module: it loads no more than what they need.
"""

from collections.abc import Callable, Iterator

import ray
from tqdm import tqdm

from pipeline.shards.recipe import Json
from pipeline.storage.folder import Folder
from pipeline.verification.problems import Problem
from pipeline.verification.units import verify_unit
from ray_jobs.cluster import connect
from schemas.shards import UnitRecord

UNITS_A_TASK = 8

Checked = tuple[list[Problem], int]  # what is wrong with some units, and how many they are


def verify_units(
    out: Folder, units: list[list[UnitRecord]], *, recipe: Json, progress: Callable[[int], object]
) -> list[Problem]:
    """Check the files of units.

    Args:
        units: the records of each.
        progress: called with a number of units whenever so many more have been checked.
    """
    from pipeline.command import stop_on_sigterm  # here, since workers have no use for it

    groups = [units[at : at + UNITS_A_TASK] for at in range(0, len(units), UNITS_A_TASK)]
    problems: list[Problem] = []
    tqdm.write(connect())
    stop_on_sigterm()
    try:
        verify = ray.remote(_verify_group)
        waiting = [verify.remote(out, group, recipe) for group in groups]
        for of_group, count in _as_they_end(waiting):
            problems += of_group
            progress(count)
    finally:
        ray.shutdown()
    return sorted(problems, key=lambda problem: (problem.file, problem.what))


def _as_they_end(waiting: list["ray.ObjectRef[Checked]"]) -> Iterator[Checked]:
    while waiting:
        ready, waiting = ray.wait(waiting)
        yield from ray.get(ready)


def _verify_group(out: Folder, units: list[list[UnitRecord]], recipe: Json) -> Checked:
    """Check the files of some units, in a worker."""
    return [problem for records in units for problem in verify_unit(out, records, recipe=recipe)], len(units)
