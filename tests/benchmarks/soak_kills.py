"""Soak: many SIGKILLs of drivers, actors, raylets and whole nodes at seeded moments; each dataset must end with the
bytes of one that was never interrupted.

    python -m tests.benchmarks.soak_kills [--kills 100] [--seed 0]
"""

import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.storage.folder import Folder
from tests.ray_jobs.killing import KillChain, hashes, kill_flags, two_node_cluster

KILLS_A_DATASET = 8
VICTIMS = {
    True: ("driver", "actor", "node"),
    False: ("driver", "actor", "raylet"),
}  # on a cluster; on the job's own Ray


@dataclass(frozen=True)
class SoakConfig:
    """Kill the shard job again and again, and compare what it makes with an uninterrupted run."""

    kills: int = 100
    """Kills in all, over as many datasets as they need."""
    seed: int = 0
    """Decides victims and moments."""


def main() -> int:
    """Run the soak; 1 when a dataset differs."""
    config = tyro.cli(SoakConfig, description=SoakConfig.__doc__)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    rng = random.Random(config.seed)
    killed: Counter[str] = Counter()
    runs = datasets = different = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch, two_node_cluster() as cluster:
        folder = Path(scratch)
        flags = kill_flags(Path(write_openimages_folder(Folder(str(folder / "sample"))).url))
        whole = KillChain(folder / "whole", flags, environment, seed=0)
        whole.kill_all([])
        expected = hashes(whole.out)
        while sum(killed.values()) < config.kills:
            on_cluster = datasets % 3 != 2
            count = min(KILLS_A_DATASET, config.kills - sum(killed.values()))
            victims = rng.choices(VICTIMS[on_cluster], k=count)
            out = folder / f"d{datasets}"
            chain = KillChain(out, flags, environment, rng.randrange(2**32), cluster if on_cluster else None)
            chain.kill_all(victims)
            datasets += 1
            runs += chain.runs
            killed.update(chain.killed)
            same = hashes(out) == expected and not (out / "run/tmp").exists()
            different += not same
            print(
                f"{sum(killed.values())} kills, {datasets} datasets: {'same bytes' if same else 'DIFFERENT'}",
                flush=True,
            )
    told = ", ".join(f"{victim} {count}" for victim, count in sorted(killed.items()))
    print(f"{sum(killed.values())} kills ({told}) in {runs} runs, {(time.monotonic() - began) / 60:.0f} min")
    print(f"{datasets} datasets of {len(expected)} files: {datasets - different} the same, {different} different")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
