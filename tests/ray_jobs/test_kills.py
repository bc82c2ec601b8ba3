"""SIGKILL anywhere, the same command again, the same bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ray_jobs.conftest import MakeHere
from tests.ray_jobs.head import Head
from tests.ray_jobs.killing import hashes, kill_chains, kill_flags, two_node_cluster

CLUSTER_CHAINS = [(seed, ["actor", "driver", "node", "driver", "node", "actor", "driver"]) for seed in (2, 3)]
OWN_RAY_CHAINS = [(4, ["driver", "raylet", "actor", "raylet", "driver", "driver"])]


@pytest.fixture(scope="module")
def flags(sample_folder: Path) -> list[str]:
    return kill_flags(sample_folder, draws=1)


@pytest.fixture(scope="module")
def uninterrupted(flags: list[str], make_here: MakeHere, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The hashes of all files of a dataset that was never interrupted."""
    out = tmp_path_factory.mktemp("uninterrupted") / "d"
    make_here([*flags, "--out", str(out)])
    return hashes(out)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_node_cluster() as started:
        yield started


def test_a_killed_driver_and_a_killed_actor_leave_the_same_bytes(
    sample_folder: Path, make_here: MakeHere, head: Head, quiet_environment: dict[str, str], tmp_path: Path
) -> None:
    flags = [*kill_flags(sample_folder, draws=1, small=True), "--encoders", "1"]
    make_here([*flags, "--out", str(tmp_path / "uninterrupted")])
    for chain in kill_chains(tmp_path, flags, quiet_environment, 1, ["driver", "actor"], head):
        assert hashes(chain.out) == hashes(tmp_path / "uninterrupted")
        assert not list((chain.out / "run").glob("tmp/*"))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "victims"), CLUSTER_CHAINS)
def test_kills_on_a_cluster_leave_the_same_bytes(
    seed: int,
    victims: list[str],
    flags: list[str],
    uninterrupted: dict[str, str],
    cluster: Any,
    quiet_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    for chain in kill_chains(tmp_path, flags, quiet_environment, seed, victims, cluster):
        assert hashes(chain.out) == uninterrupted
        assert not (chain.out / "run/tmp").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "victims"), OWN_RAY_CHAINS)
def test_kills_of_a_job_and_of_the_ray_it_started_leave_the_same_bytes(
    seed: int,
    victims: list[str],
    flags: list[str],
    uninterrupted: dict[str, str],
    quiet_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    for chain in kill_chains(tmp_path, flags, quiet_environment, seed, victims):
        assert hashes(chain.out) == uninterrupted
        assert not (chain.out / "run/tmp").exists()
