"""Which Ray a job works on, and what it says of it."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
import ray

from pipeline.errors import InputError
from ray_jobs import cluster
from tests.ports import free_ports


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, int]]:
    """Ports: of nobody, of a web server, and of another gRPC server."""
    web = ThreadingHTTPServer(("0.0.0.0", 0), SimpleHTTPRequestHandler)
    web.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_insecure_port("0.0.0.0:0")
    other.start()
    yield {"nobody": free_ports(1)[0], "web": web.server_port, "other": port}
    other.stop(None)
    web.shutdown()
    thread.join()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:{nobody}", "no head answers at "),
        ("no.such.host:6379", "no head answers at no.such.host:6379"),
        ("127.0.0.1:{web}", "no head answers at "),
        ("127.0.0.1:{other}", "something else than a head answers there"),
        ("ray://127.0.0.1:{nobody}", "no head answers at 127.0.0.1:{nobody}"),
        ("http://127.0.0.1:{web}", "http:// is where `ray job submit` sends jobs to"),
        ("head", "Invalid address format: head"),
        (":6379", "names no host"),
        ("ray://", "names no host"),
    ],
)
def test_an_address_at_which_no_cluster_answers_is_refused_by_name(
    places: dict[str, int], address: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster.ANSWER_SECONDS <= 20
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.5)
    address = address.format(**places)
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(InputError) as refusal:
        cluster.connect()
    assert str(refusal.value).startswith(f"RAY_ADDRESS {address}: {why.format(**places)}")
    assert "unset RAY_ADDRESS to start Ray here" in str(refusal.value)
    assert time.monotonic() - began < 10 and os.environ["RAY_ADDRESS"] == address


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("a" * 100, "AF_UNIX path length cannot exceed 107 bytes"),
        ("file", "Not a directory"),
    ],
)
def test_a_ray_that_does_not_start_here_is_told_with_the_place_of_its_files_and_the_remedy(
    tmp_path: Path, folder: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not ray.is_initialized()
    (tmp_path / "file").touch()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / folder))
    with pytest.raises(InputError, match=f"^Ray does not start on this machine: .*{why}.* RAY_TMPDIR names") as refusal:
        cluster.connect()
    assert f"Its files lie in {tmp_path / folder / 'ray'}" in str(refusal.value)
    assert not ray.is_initialized()
