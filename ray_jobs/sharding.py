"""Sharding: a command line -> a dataset. The shard job, on Ray."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.command import EXIT_FAILED, GO_ON, describe_code, describe_room, is_given, stop_on_sigterm
from pipeline.config import ShardConfig
from pipeline.jobs.inputs import CheckedInputs, check_encoders, check_inputs, lay_out_sample_photos, wants_sample_photos
from pipeline.jobs.next_steps import train_line
from pipeline.jobs.run import hold_output, run_job, say
from pipeline.jobs.workshop import Workshop
from pipeline.storage.folder import Folder
from pipeline.storage.holders import Hold
from pipeline.storage.redaction import redact
from pipeline.storage.retries import is_full
from ray_jobs.command import parse_shard_config

COME_BACK = "once they can be read, the same command with --retry-drops takes them in"


def shard_openimages(arguments: list[str]) -> int:
    """Run the job.

    Returns:
        The exit code: 0 when the dataset is complete.
    """
    config = parse_shard_config(arguments)
    say(describe_code())
    say(f"output: {config.out}")
    if wants_sample_photos(config):
        check_encoders(config)
    checked = None if wants_sample_photos(config) else check_inputs(config)
    try:
        with hold_output(config.out) as hold:
            code = run_job(
                checked or _sample_inputs(config, hold),
                hold=hold,
                open_workshop=open_on_ray,
                come_back=COME_BACK,
                draws_given=is_given("--draws", arguments),
            ).code
            if code == 0:
                say(train_line(Folder(config.out)))
            return code
    except OSError as error:
        if not is_full(error):
            raise
        print(f"stopped: a disk is full ({describe_room(config.out)}): {redact(str(error))}; free some room; {GO_ON}")
        return EXIT_FAILED
    except RayFailedError as error:
        print(f"stopped: Ray failed ({error}); {GO_ON}")
        return EXIT_FAILED


class RayFailedError(Exception):
    """Ray, or this job's connection to it, died."""


@contextmanager
def open_on_ray(checked: CheckedInputs, device: str) -> Iterator[Workshop]:
    """Join or start a cluster, and lay encoder actors out on it.

    Args:
        device: auto, cpu or cuda.

    Raises:
        InputError: the cluster has no such device, or its nodes do not see the same files.
        RayFailedError: Ray died, here or while units were made.
    """
    say("starting Ray")
    # Ray takes a second to import: a refused flag, and a dataset that is complete, do without.
    import ray
    from ray.exceptions import RayError

    from ray_jobs.cluster import ClusterLostError, connect, lay_out_slots, refuse_hidden_paths
    from ray_jobs.units_on_ray import RayWorkshop

    config = checked.config
    say(connect())
    stop_on_sigterm()
    try:
        slots = lay_out_slots(device=device, encoders=config.encoders, cpus_per_gpu=config.cpus_per_gpu)
        refuse_hidden_paths(Folder(config.out), checked.work_paths)
        workshop = RayWorkshop(checked, slots)
        try:
            yield workshop
        finally:
            workshop.stop()
    except (RayError, ClusterLostError) as error:
        raise RayFailedError(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
    finally:
        ray.shutdown()


def _sample_inputs(config: ShardConfig, hold: Hold) -> CheckedInputs:
    return check_inputs(lay_out_sample_photos(config, Folder(config.out, guard=hold.check)))
