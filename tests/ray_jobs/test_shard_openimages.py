import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from ray_jobs import units_on_ray
from ray_jobs.cluster import connect
from tests.pipeline.storage.odd_names import ALL_OF_IT
from tests.ray_jobs.conftest import MakeHere, Run
from tests.ray_jobs.head import ROOT, Head
from tests.ray_jobs.killing import hashes
from tests.tagged import read_index, write_tagged

SMALL = ("--resolution", "64", "--draws", "1", "--encoders", "1")


@pytest.fixture(scope="module")
def dataset(head: Head) -> Path:
    """What the literal submit in the repository's root makes, at its default size."""
    done = head.submit("ray_jobs/shard_openimages.py")
    assert done.returncode == 0, done.stdout + done.stderr
    out = head.root / "runs/tiny"
    assert f"output: {out}" in done.stdout
    assert "untrained" not in done.stdout and "shipped exemplar encoder" in (out / "card.md").read_text()
    return out


def hinted(said: str, what: str) -> list[str]:
    """The words of the command that a job's last lines name."""
    [command] = re.findall(f"^{what}: (.*)$", said, re.M)
    return shlex.split(command)


def test_the_dataset_is_complete_and_verifies(drive: Run, dataset: Path) -> None:
    for name in ("manifest.json", "shards.parquet", "card.md", "overview.png", "funnel.png"):
        assert (dataset / name).stat().st_size > 0
    done = drive("verify_shards.py", dataset)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok: 6 of 6 shards re-hashed" in done.stdout
    assert hinted(done.stdout, "look at it")[2:4] == ["dashboards.browse", str(dataset)]
    assert hinted(done.stdout, "train on it")[2:6] == ["pbe.train", "tiny", "--data", str(dataset)]
    assert re.search(r"^Ray: joined .*, 1 node, 2 CPUs, 0 GPUs$", done.stdout, re.M)


class _Others:
    """What else runs on the cluster."""


def test_more_draws_only_add_and_a_job_says_whether_it_waits_for_room_or_for_encoders(
    drive: Run, head: Head, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units_on_ray, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(units_on_ray, "PATIENCE_POLLS", 2)
    shutil.copytree(dataset, tmp_path / "d")
    assert re.fullmatch(rf"Ray: joined .*:{head.address.rpartition(':')[2]}, 1 node, 2 CPUs, 0 GPUs", connect())
    held = ray.remote(_Others).options(num_cpus=2, name="others", namespace="tests", lifetime="detached").remote()
    ray.get(held.__ray_ready__.remote())
    ray.shutdown()

    def end_others() -> None:
        while not ray.is_initialized():
            time.sleep(0.05)
        time.sleep(2)
        ray.kill(ray.get_actor("others", namespace="tests"))

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end_others)
        grown = drive("shard_openimages.py", "--out", tmp_path / "d", "--draws", "3", "--encoders", "1")
        ending.result()
    assert "6 unit draws finished, 3 to make" in grown.stdout, grown.stdout + grown.stderr
    waits = [line for line in grown.stdout.splitlines() if line.startswith(("waiting for", "encoders are"))]
    assert waits[0] == "waiting for the cluster: no room for an encoder of 1 CPUs and 0 GPUs"
    assert waits[-1] == "encoders are starting" and waits == sorted(waits, reverse=True)
    assert "Ray: joined " in grown.stdout
    samples = {name: digest for name, digest in hashes(dataset).items() if "/" in name}
    assert samples.items() < hashes(tmp_path / "d").items()


def test_finished_work_is_not_done_again(drive: Run, dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.tar")}
    done = drive("shard_openimages.py", "--out", dataset)
    assert "nothing to do" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*.tar")} == before


def test_verify_fails_on_one_changed_byte(drive: Run, dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    victim = next(copy.rglob("*.tar"))
    data = bytearray(victim.read_bytes())
    data[1000] ^= 1
    victim.write_bytes(data)
    done = drive("verify_shards.py", copy)
    assert done.returncode == 1
    assert str(victim.relative_to(copy)) in done.stdout


@pytest.mark.parametrize("name", ["pixel_coords_not_normalised.csv", "openimages_decimal_comma.csv"])
def test_a_bad_table_ends_the_job_before_any_work_without_a_traceback(
    drive: Run, real_data: Path, sample_folder: Path, tmp_path: Path, name: str
) -> None:
    table = real_data / "odd_csv" / name
    inputs = ("--boxes", table, "--images", sample_folder / "train")
    done = drive("shard_openimages.py", "smoke", *inputs, "--out", tmp_path / "d")
    assert done.returncode == 2
    assert name in done.stderr and "line 2" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "d/units").exists()


def test_too_many_bad_photos_stop_the_job_until_a_retry_finds_them_good(
    drive: Run, sample_folder: Path, tmp_path: Path
) -> None:
    photos = shutil.copytree(sample_folder / "train", tmp_path / "photos")
    bad = sorted(photos.iterdir())[0]
    good = bad.read_bytes()
    bad.write_bytes(b"no photo")
    boxes = sample_folder / "train-annotations-bbox.csv"
    flags = ("smoke", "--boxes", boxes, "--images", photos, "--out", tmp_path / "d", *SMALL)
    stopped = drive("shard_openimages.py", *flags)
    assert stopped.returncode == 1
    assert "1 of 7 photos failed, more than --max-photo-failures 0.05 (lately: not_an_image 1" in stopped.stdout
    assert "run again with --retry-drops" in stopped.stdout
    assert not (tmp_path / "d/manifest.json").exists()
    allowed = drive("shard_openimages.py", *flags, "--max-photo-failures", "0.5")  # no unit is left to make
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    lost = "photos lost: 1 (not_an_image 1); once they can be read, the same command with --retry-drops"
    assert "3 unit draws finished, 0 to make" in allowed.stdout and lost in allowed.stdout

    bad.write_bytes(good)
    retried = drive("shard_openimages.py", *flags, "--retry-drops")
    assert retried.returncode == 0, retried.stdout + retried.stderr
    assert "lost photos read again: 1, can be used now: 1" in retried.stdout
    assert "photos lost" not in retried.stdout
    assert '"units_retried": 1' in (tmp_path / "d/run/runs.jsonl").read_text()
    assert len(read_index(tmp_path / "d")) == 7


@pytest.mark.parametrize(
    ("number", "code", "joins"),
    [
        pytest.param(signal.SIGTERM, 143, False, id="own Ray"),
        pytest.param(signal.SIGINT, 130, True, id="joined", marks=pytest.mark.slow),
    ],
)
def test_a_job_that_is_told_to_stop_ends_orderly_and_can_go_on(
    quiet_environment: dict[str, str], head: Head, tmp_path: Path, number: int, code: int, joins: bool
) -> None:
    command = [sys.executable, str(ROOT / "ray_jobs/shard_openimages.py"), "smoke", "--out", str(tmp_path / "d")]
    command += ["--draws", "9", "--encoders", "1"]
    job = subprocess.Popen(
        command,
        env={**head.environment, "RAY_ADDRESS": head.address} if joins else quiet_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    log = tmp_path / "d/run/runs.jsonl"
    while not (log.exists() and "unit_draws_to_make" in log.read_text()):  # Ray runs, and the encoders have been loaded
        assert job.poll() is None
        time.sleep(0.05)
    listening = [] if joins else [*_listening(job.pid)]
    job.send_signal(number)
    output, _ = job.communicate(timeout=200)
    assert job.returncode == code, output
    assert "run the same command again to go on" in output
    assert ("Ray: joined " if joins else "Ray: started here, 1 node, ") in output
    assert "Traceback" not in output
    assert joins or {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def _listening(pid: int) -> Iterator[str]:
    """Give the addresses that a process and its children listen on."""
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            yield from (c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)


class _StallingServer(ThreadingHTTPServer):
    """Serves a folder; requests for one name wait until the server is closed."""

    stalled = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.waiting = threading.Semaphore(0)
        self.closing = threading.Event()


class _Handler(SimpleHTTPRequestHandler):
    server: _StallingServer

    def do_GET(self) -> None:
        if self.server.stalled in self.path and self.server.stalled:
            self.server.waiting.release()
            self.server.closing.wait(200)
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(sample_folder: Path) -> Iterator[_StallingServer]:
    served = _StallingServer(sample_folder)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.closing.set()
    served.shutdown()


@pytest.mark.slow
def test_a_unit_whose_actor_dies_too_often_fails_and_the_rest_is_made(
    drive: Run, head: Head, server: _StallingServer, tmp_path: Path
) -> None:
    deaths = units_on_ray.MAX_ATTEMPTS
    url = f"http://127.0.0.1:{server.server_port}"
    inputs = ("--boxes", f"{url}/train-annotations-bbox.csv", "--images", f"{url}/train")
    flags = ("smoke", *inputs, "--out", tmp_path / "d", *SMALL, "--photos-per-unit", "1")
    # The last photo of the plan, so that the probe of the first passes.
    server.stalled = "00f10be400000007"

    def kill_actors() -> None:
        for _ in range(deaths):
            assert server.waiting.acquire(timeout=200)
            ours = psutil.Process(head.pid).children(recursive=True)
            actors = [process for process in ours if "UnitActor" in " ".join(process.cmdline())]
            assert actors
            for actor in actors:
                actor.send_signal(signal.SIGKILL)

    with ThreadPoolExecutor(1) as pool:
        kills = pool.submit(kill_actors)
        stopped = drive("shard_openimages.py", *flags)
        kills.result()
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    assert "1 unit failed" in stopped.stdout
    assert f"its actor died {deaths} times" in stopped.stdout
    assert len(list((tmp_path / "d/units").iterdir())) == 6


def test_a_shipped_working_dir_runs_the_shipped_code_into_an_output_of_any_name_also_with_one_encoder(
    head: Head, dataset: Path, tmp_path: Path
) -> None:
    script = ("--working-dir", ".", "--", "python", "ray_jobs/shard_openimages.py", "--encoders", "1")
    out = tmp_path / ALL_OF_IT / "d"
    done = head.submit(*script, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "working_dir_files" in next(line for line in done.stdout.splitlines() if line.startswith("code: "))
    assert hinted(done.stdout, "verify it") == ["python", "-m", "ray_jobs.verify_shards", str(out)]
    assert hinted(done.stdout, "train on it")[2:6] == ["pbe.train", "tiny", "--data", str(out)]
    assert hashes(out) == hashes(dataset)


def test_denied_boxes_leave_the_next_dataset_and_a_list_of_other_tables_is_refused(
    drive: Run, make_here: MakeHere, dataset: Path, sample_folder: Path, tmp_path: Path
) -> None:
    first, *others = read_index(dataset)
    photo = next(row["image_id"] for row in others if row["image_id"] != first["image_id"])
    tagged = tmp_path / "tagged.csv"
    write_tagged(tagged, [first, {"image_id": photo}, {"image_id": "none"}])
    inputs = ("--boxes", str(sample_folder / "train-annotations-bbox.csv"), "--images", str(sample_folder / "train"))
    flags = ("smoke", *inputs, *SMALL, "--deny", str(tagged))
    told = make_here([*flags, "--out", str(tmp_path / "d")])
    said = rf"--deny {tagged}: \d+ boxes denied by 2 of 3 rows \(dropped already: 0; not in the tables: 1\)"
    assert any(re.search(said, line) for line in told), told
    left = {(row["image_id"], row["box_id"]) for row in read_index(tmp_path / "d")}
    assert (first["image_id"], first["box_id"]) not in left and photo not in {image_id for image_id, _ in left}
    assert drive("verify_shards.py", tmp_path / "d").returncode == 0
    assert "nothing to do" in drive("shard_openimages.py", *flags, "--out", tmp_path / "d").stdout
    write_tagged(tagged, [{**first, "box_source": [0.25, 0.25, 0.5, 0.5]}])
    for out, said in ((tmp_path / "d", "began with another recipe (filters: "), (tmp_path / "e", "line 2: box ")):
        refused = drive("shard_openimages.py", *flags, "--out", out)
        assert refused.returncode == 2 and said in refused.stderr and "Traceback" not in refused.stderr
