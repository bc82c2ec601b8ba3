import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from pipeline.storage import retries, scratch
from pipeline.storage.folder import Folder
from pipeline.storage.retries import StorageError, with_retries
from tests.object_storage import Proxy, reached, serve_s3

HOLD_SCRATCH = """
import sys, time
from pipeline.storage.folder import Folder
with Folder(sys.argv[1]).scratch() as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    for name in ("../a", "a/../../b", "/etc/passwd"):
        with pytest.raises(ValueError, match="would leave"):
            Folder(str(tmp_path)).path(name)


def test_files_appear_whole_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    out.write("a/b.txt", b"one")
    out.write("a/b.txt", b"two")
    assert out.read("a/b.txt") == b"two"
    assert out.read_range("a/b.txt", 1, 2) == b"wo"
    assert out.names("a") == ["b.txt"]
    assert out.names("none") == []
    assert list((tmp_path / "run/tmp").iterdir()) == []


def test_passing_faults_are_retried_and_permanent_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    calls = []

    def fail_twice() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionResetError("reset")
        return "done"

    assert with_retries(fail_twice) == "done"
    calls.clear()

    def absent() -> str:
        calls.append(1)
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError):
        with_retries(absent)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("status", "attempts", "error"), [(503, 5, OSError), (404, 1, FileNotFoundError), (403, 1, PermissionError)]
)
def test_http_answers_are_sorted_into_passing_and_permanent(
    monkeypatch: pytest.MonkeyPatch, status: int, attempts: int, error: type[OSError]
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(error):
            Folder(f"http://127.0.0.1:{server.server_port}/photos").read("a.jpg")
    finally:
        server.shutdown()
    assert len(requests) == attempts


@pytest.mark.parametrize("where", ["local", "s3"])
def test_a_file_is_created_once_and_its_own_content_counts_as_created(where: str, tmp_path: Path, s3: Proxy) -> None:
    out = Folder(str(tmp_path / "d") if where == "local" else "s3://bucket/d")
    assert out.create("units/a.json", b"one")
    assert out.create("units/a.json", b"one")  # as a retry does whose first answer was lost
    assert not out.create("units/a.json", b"two")
    assert out.read("units/a.json") == b"one"


def test_of_many_creators_one_wins(tmp_path: Path, s3: Proxy) -> None:
    for folder in (Folder(str(tmp_path / "d")), Folder("s3://bucket/d")):
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda i, out=folder: out.create("lock", b"%d" % i), range(8)))
        assert sum(won) == 1
        assert folder.read("lock") == b"%d" % won.index(True)


def test_an_empty_object_reads_as_empty_and_an_absent_one_costs_one_request(s3: Proxy) -> None:
    out = Folder("s3://bucket/d")
    out.write("empty", b"")
    assert out.read("empty") == b""
    assert out.read_range("empty", 0, 10) == b""
    s3.requests.clear()
    assert out.read_if_there("absent") is None
    assert len(s3.requests) == 1


@pytest.mark.heavy
def test_object_storage_that_fails_often_is_read_and_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.01)
    with serve_s3(fault_share=0.3, seed=1) as proxy, reached(proxy, monkeypatch):
        out = Folder("s3://bucket/d")
        for number in range(12):
            out.write(f"{number}", b"%d" % number)
            assert out.create(f"new/{number}", b"%d" % number)
        assert [out.read(f"{number}") for number in range(12)] == [b"%d" % number for number in range(12)]
        assert out.names("new") == sorted(str(number) for number in range(12))
        assert sum(proxy.faults.values()) > 5


def test_a_dead_server_ends_in_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(retries, "ATTEMPTS", 2)
    nobody = {
        "endpoint_url": "http://127.0.0.1:9",
        "key": "key",
        "secret": "hush",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    monkeypatch.setitem(fsspec.config.conf, "s3", nobody)
    with pytest.raises(StorageError):
        Folder("s3://bucket/d").read("a")


def test_uploads_that_a_killed_job_left_are_aborted_and_those_beside_it_are_kept(s3: Proxy) -> None:
    out = Folder("s3://bucket/d")
    for key in ("d/shards/a.tar", "d/shards/b.tar", "other/a.tar"):
        out.fs.call_s3("create_multipart_upload", Bucket="bucket", Key=key)
    assert out.abort_uploads() == 2
    assert [upload["Key"] for upload in out.fs.list_multipart_uploads("bucket")] == ["other/a.tar"]
    assert Folder("memory://d").abort_uploads() == 0


@pytest.mark.processes
def test_scratch_of_a_killed_process_is_removed_and_that_of_a_living_one_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_SCRATCH, str(tmp_path)]
    dead, living = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    left, kept = (Path(str(p.stdout.readline()).strip()) for p in (dead, living) if p.stdout)
    dead.kill()
    dead.wait()
    scratch.sweep.cache_clear()
    with Folder(str(tmp_path)).scratch():
        assert not left.exists()
        assert kept.exists()
    living.kill()
    living.wait()
