"""Photos, tables and output on an S3 that fails: the same bytes, nothing left over, no secrets told."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from pipeline.storage.holders import Holder
from tests.object_storage import Proxy, serve_s3
from tests.pipeline.storage.odd_names import ALL_OF_IT
from tests.ray_jobs.conftest import MakeHere, Run
from tests.ray_jobs.head import ROOT
from tests.ray_jobs.killing import hashes

FLAGS = ("--resolution", "64", "--photos-per-unit", "3", "--encoders", "1")


@pytest.fixture
def faulty() -> Iterator[Proxy]:
    """Every twentieth request fails."""
    with serve_s3(seed=5) as proxy:
        yield proxy


def submit(script: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "ray_jobs" / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_an_s3_that_fails_often_ends_with_the_same_bytes_and_no_secrets(
    make_here: MakeHere,
    faulty: Proxy,
    quiet_environment: dict[str, str],
    sample_folder: Path,
    tmp_path: Path,
) -> None:
    local = ("--boxes", str(sample_folder / "train-annotations-bbox.csv"), "--images", str(sample_folder / "train"))
    make_here(["smoke", *local, *FLAGS, "--out", str(tmp_path / "d")])

    fs = s3fs.S3FileSystem(**faulty.options)
    fs.put(str(sample_folder), f"bucket/{ALL_OF_IT}/in", recursive=True)
    dead = {**json.loads(Holder.here().content), "pid": 2**30}
    fs.pipe(f"bucket/{ALL_OF_IT}/d/run/lock.json", json.dumps(dead).encode())
    fs.call_s3("create_multipart_upload", Bucket="bucket", Key=f"{ALL_OF_IT}/d/shards/train/000000-d00.tar")
    root = f"s3://bucket/{ALL_OF_IT}"
    remote = ("--boxes", f"{root}/in/train-annotations-bbox.csv", "--images", f"{root}/in/train")
    environment = {**quiet_environment, **faulty.environment}
    faulty.fault_share = 0.05
    done = submit("shard_openimages.py", "smoke", *remote, *FLAGS, "--out", f"{root}/d", environment=environment)
    faulty.fault_share = 0.0
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(faulty.faults.values()) >= 5, faulty.faults
    assert "took over the lock" in done.stdout

    contents = {
        name.removeprefix(f"bucket/{ALL_OF_IT}/d/"): fs.cat_file(name) for name in fs.find(f"bucket/{ALL_OF_IT}/d")
    }
    stored = {n: hashlib.sha256(c).hexdigest() for n, c in contents.items() if not n.startswith("run/")}
    assert stored == hashes(tmp_path / "d")
    assert fs.list_multipart_uploads("bucket") == []
    assert not any(name.startswith("run/lock") for name in contents)
    secrets = (faulty.options["secret"], faulty.options["key"])
    told = [done.stdout, done.stderr, *(content.decode("latin-1") for content in contents.values())]
    assert not any(secret in text for secret in secrets for text in told)


def test_signed_addresses_are_told_and_kept_without_their_signatures(
    run: Run, sample_folder: Path, tmp_path: Path
) -> None:
    absent = "http://user:pass-word@127.0.0.1:9/boxes.csv?X-Amz-Signature=abcdef0123&x=1"
    refused = run("shard_openimages.py", "--boxes", absent, "--images", sample_folder / "train", "--out", tmp_path)
    assert refused.returncode == 2
    assert "127.0.0.1:9/boxes.csv" in refused.stderr
    for secret in ("pass-word", "abcdef0123"):
        assert secret not in refused.stdout + refused.stderr
