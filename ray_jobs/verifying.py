"""Verifying: a dataset -> what is wrong with it. The steps of the verify job, in order."""

from dataclasses import dataclass
from typing import Annotated

import ray
import tyro
from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.manifest import read_manifest, read_records, verify_unit, verify_whole
from pipeline.rng import rng_for
from pipeline.storage import Folder, absolute
from ray_jobs.cluster import connect
from ray_jobs.command import EXIT_FAILED
from schemas.shards import UnitRecord

UNITS_A_TASK = 16
SHOWN_PROBLEMS = 50


@dataclass(frozen=True)
class VerifyConfig:
    """Re-hash and re-count every file of a dataset; exit 1 on any difference."""

    dataset: Annotated[str, tyro.conf.Positional]
    """The dataset: a folder or any fsspec URL."""
    fraction: float = 1.0
    """Share of the shards to re-hash, a seeded choice; the sums are always checked in full."""


def verify_shards(arguments: list[str]) -> int:
    """Run the job.

    Returns:
        The exit code: 0 when nothing is wrong.
    """
    config = tyro.cli(VerifyConfig, args=arguments, prog="verify_shards.py", description=VerifyConfig.__doc__)
    if not 0 < config.fraction <= 1:
        raise InputError(f"--fraction {config.fraction}: give a share above 0, up to 1")
    out = Folder(absolute(config.dataset))
    manifest = read_manifest(out)
    names = out.names("units")
    if config.fraction < 1:
        chosen = rng_for(0, "verify").random(len(names)) < config.fraction
        names = [name for name, taken in zip(names, chosen, strict=True) if taken]
    groups = [names[at : at + UNITS_A_TASK] for at in range(0, len(names), UNITS_A_TASK)]
    connect()
    try:
        verify = ray.remote(_verify_units)
        waiting = [verify.remote(out, group, manifest["recipe_digest"]) for group in groups]
        problems: list[str] = []
        records: list[UnitRecord | None] = []
        with tqdm(total=len(names), desc="shards", unit=" shards", mininterval=1) as bar:
            while waiting:
                ready, waiting = ray.wait(waiting)
                for found, told in ray.get(ready):
                    records += found
                    problems += told
                    bar.update(len(found))
    finally:
        ray.shutdown()
    try:
        readable = [record for record in records if record] if config.fraction == 1 else read_records(out)
    except (ValueError, TypeError, KeyError) as error:
        print(f"  units: a record is unreadable ({error}); run without --fraction to find it")
        return EXIT_FAILED
    problems += verify_whole(out, manifest, readable)
    for problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {problem}")
    if problems:
        print(f"{len(problems)} problems in {out.url}; run the shard command again with --overwrite to make it anew")
        return EXIT_FAILED
    print(f"ok: {len(names):,} of {len(out.names('units')):,} shards re-hashed, all sums hold: {out.url}")
    return 0


def _verify_units(out: Folder, names: list[str], recipe_digest: str) -> tuple[list[UnitRecord | None], list[str]]:
    """Check some records and their files."""
    checked = [verify_unit(out, name, recipe_digest=recipe_digest) for name in names]
    return [record for record, _ in checked], [problem for _, problems in checked for problem in problems]
