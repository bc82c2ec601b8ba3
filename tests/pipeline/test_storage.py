import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import InputError
from pipeline.storage import Folder, absolute, expand, with_retries


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
    monkeypatch.setattr(storage, "FIRST_WAIT_SECONDS", 0.0)
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


def test_globs_are_sorted_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).touch()
    assert expand(f"{tmp_path}/*.csv") == [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]
    with pytest.raises(InputError, match="no file matches"):
        expand(f"{tmp_path}/*.parquet")


def test_urls_stay_and_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("runs/a") == str(tmp_path / "runs/a")
    assert absolute("memory://bucket/a/") == "memory://bucket/a"


def test_an_unknown_scheme_is_refused_without_a_traceback() -> None:
    with pytest.raises(InputError, match="nowhere://a"):
        absolute("nowhere://a")


@pytest.mark.parametrize(
    ("status", "attempts", "error"), [(503, 5, OSError), (404, 1, FileNotFoundError), (403, 1, PermissionError)]
)
def test_http_answers_are_sorted_into_passing_and_permanent(
    monkeypatch: pytest.MonkeyPatch, status: int, attempts: int, error: type[OSError]
) -> None:
    monkeypatch.setattr(storage, "FIRST_WAIT_SECONDS", 0.0)
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


def test_an_existing_name_with_glob_marks_is_that_name(tmp_path: Path) -> None:
    (tmp_path / "p[1]").mkdir()
    assert expand(f"{tmp_path}/p[1]") == [f"{tmp_path}/p[1]"]
    assert expand("https://host/a.csv?download=1") == ["https://host/a.csv?download=1"]
