"""A disk that fills up: said plainly, finished units kept, resumed when there is room."""

from pathlib import Path

from tests.conftest import SmallDisk
from tests.ray_jobs.conftest import Run
from tests.ray_jobs.killing import finished, hashes, kill_flags


def test_a_full_disk_stops_the_job_which_goes_on_once_there_is_room(
    drive: Run, small_disk: SmallDisk, sample_folder: Path, tmp_path: Path
) -> None:
    disk, resize = small_disk
    resize("500k")
    flags = [*kill_flags(sample_folder, draws=1, small=True), "--encoders", "1"]
    stopped = drive("shard_openimages.py", *flags, "--out", disk / "d")
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    assert f"stopped: a disk is full ({disk / 'd'}: 0 MiB left" in stopped.stdout
    assert "run the same command again" in stopped.stdout
    assert "Traceback" not in stopped.stdout + stopped.stderr
    kept = finished(disk / "d")
    assert kept
    assert not (disk / "d/manifest.json").exists()
    resize("200m")
    done = drive("shard_openimages.py", *flags, "--out", disk / "d")
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.items() <= finished(disk / "d").items()
    assert drive("verify_shards.py", disk / "d").returncode == 0
    assert not (disk / "d/run/tmp").exists()
    assert hashes(disk / "d")
