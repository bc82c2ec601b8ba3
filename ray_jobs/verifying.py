"""Verifying: a command line -> what is wrong with a dataset. The steps of the verify job, in order."""

from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

import tyro
from tqdm import tqdm

from pipeline.command import EXIT_FAILED
from pipeline.errors import InputError
from pipeline.hints import look_line
from pipeline.jobs.next_steps import train_line
from pipeline.rng import rng_for
from pipeline.shards.manifest import read_manifest
from pipeline.shards.recipe import Json
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute
from pipeline.verification.dataset import list_files, verify_dataset, verify_listing
from pipeline.verification.problems import Problem, describe_remedy
from schemas.shards import UnitRecord

SHOWN_PROBLEMS = 50


@dataclass(frozen=True)
class VerifyConfig:
    """Re-hash and re-count every file of a dataset; exit 1 on any difference."""

    dataset: Annotated[str, tyro.conf.Positional]
    """The dataset: a folder or any fsspec URL."""
    fraction: float = 1.0
    """Share of the units to re-hash, a seeded choice of at least one. Tables, records and sums are always checked in
    full, and that all files are there in their sizes."""


def verify_shards(arguments: list[str]) -> int:
    """Run the job.

    Returns:
        The exit code: 0 when nothing is wrong.
    """
    config = tyro.cli(VerifyConfig, args=arguments, prog="verify_shards.py", description=VerifyConfig.__doc__)
    if not 0 < config.fraction <= 1:
        raise InputError(f"--fraction {config.fraction}: give a share above 0, up to 1")
    out = Folder(absolute(config.dataset))
    files = list_files(out)
    if not files:
        raise InputError(f"{out.url}: no such dataset; give the folder or URL that --out named")
    try:
        manifest = read_manifest(out)
    except InputError as error:
        print(f"  {error}")
        return EXIT_FAILED
    records, problems = verify_dataset(out, manifest, files)
    units = choose_units(records, config.fraction)
    chosen = {unit[0].unit for unit in units}
    problems += verify_listing([record for record in records if record.unit not in chosen], files)
    problems += _verify_units(out, units, manifest["recipe"])
    checked = sum(len(unit) for unit in units)
    return _report(out, problems, checked=checked, total=manifest["totals"]["units"] * manifest["draws"])


def choose_units(records: list[UnitRecord], fraction: float) -> list[list[UnitRecord]]:
    """Gather records by unit, and choose a share of the units."""
    units = [list(draws) for _, draws in groupby(records, key=lambda record: record.unit)]
    if fraction == 1 or not units:
        return units
    order = rng_for(0, "verify").permutation(len(units))
    return [units[place] for place in sorted(order[: max(1, round(fraction * len(units)))])]


def _verify_units(out: Folder, units: list[list[UnitRecord]], recipe: Json) -> list[Problem]:
    """Check the files of units in parallel, with a progress bar."""
    # Ray takes half a second to import: what is refused does without.
    from ray_jobs.verification_on_ray import verify_units

    with tqdm(total=len(units), desc="units", unit=" units", mininterval=1) as bar:
        return verify_units(out, units, recipe=recipe, progress=bar.update)


def _report(out: Folder, problems: list[Problem], *, checked: int, total: int) -> int:
    """Print what is wrong, and how to fix it."""
    for problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {problem}")
    if not problems:
        print(f"ok: {checked:,} of {total:,} shards re-hashed, all sums hold: {out.url}")
        print(look_line(out.url))
        print(train_line(out))
        return 0
    more = f", the first {SHOWN_PROBLEMS} above" if len(problems) > SHOWN_PROBLEMS else ""
    print(f"{len(problems)} problems in {out.url}{more}")
    print(describe_remedy(problems))
    return EXIT_FAILED
