"""Evaluating: a command line -> an evaluation, its parts made on a cluster."""

from collections.abc import Iterator, Sequence

from pbe.evaluate import GO_ON, parse_evaluate_config
from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.running.comparison import Comparison
from pbe.evaluation.running.run import compare
from pbe.evaluation.running.scorer import Scorer
from pbe.evaluation.running.working import Done, Todo
from pipeline.command import EXIT_FAILED, stop_on_sigterm


def evaluate_methods(arguments: list[str]) -> int:
    """Run the job; return the exit code."""
    config = parse_evaluate_config(arguments, prog="evaluate_methods.py")
    try:
        return compare(config, work=work_on_ray)
    except RayFailedError as error:
        print(f"stopped: Ray failed ({error}); {GO_ON}")
        return EXIT_FAILED


class RayFailedError(Exception):
    """Ray, or this job's connection to it, died."""


def work_on_ray(config: EvaluateConfig, comparison: Comparison, scorer: Scorer, todo: Sequence[Todo]) -> Iterator[Done]:
    """Make what parts lack, on a cluster that is joined or started; the driver's own scorer is not used.

    Raises:
        InputError: the cluster has no such device, or its nodes do not see the same files.
        RayFailedError: Ray died.
    """
    print("starting Ray", flush=True)
    # Ray takes a second to import: a refused flag, and an evaluation that is complete, do without.
    import ray
    from ray.exceptions import RayError

    from ray_jobs.cluster import connect, lay_out_slots, refuse_hidden_paths
    from ray_jobs.evaluation_on_ray import work_on_actors

    print(connect(), flush=True)
    stop_on_sigterm()
    try:
        slots = lay_out_slots(device=config.device.partition(":")[0] or "auto", encoders=0, cpus_per_gpu=config.cpus)
        paths = [path for case in comparison.bench.cases[:1] for path in case.inputs.values()]
        refuse_hidden_paths(comparison.out, paths)
        yield from work_on_actors(config, slots, todo)
    except RayError as error:
        raise RayFailedError(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
    finally:
        ray.shutdown()
