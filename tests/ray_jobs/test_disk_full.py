"""A disk that fills up: said plainly, finished units kept, resumed when there is room."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ray_jobs.conftest import Run
from tests.ray_jobs.killing import finished, hashes, kill_flags


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A filesystem of its own, and a way to give it another size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {mounted.stderr.decode().strip()}")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)

    yield disk, resize
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stops_the_job_which_goes_on_once_there_is_room(
    run: Run, small_disk: tuple[Path, Callable[[str], None]], sample_folder: Path, tmp_path: Path
) -> None:
    disk, resize = small_disk
    flags = kill_flags(sample_folder)
    stopped = run("shard_openimages.py", *flags, "--out", disk / "d")
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    assert f"stopped: a disk is full ({disk / 'd'}: 0 MiB left" in stopped.stdout
    assert "run the same command again" in stopped.stdout
    assert "Traceback" not in stopped.stdout + stopped.stderr
    kept = finished(disk / "d")
    assert kept
    assert not (disk / "d/manifest.json").exists()
    resize("200m")
    done = run("shard_openimages.py", *flags, "--out", disk / "d")
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.items() <= finished(disk / "d").items()
    assert run("verify_shards.py", disk / "d").returncode == 0
    assert not (disk / "d/run/tmp").exists()
    assert hashes(disk / "d")
