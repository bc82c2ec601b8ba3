"""Which Ray a job works on, and what it says of it."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

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
