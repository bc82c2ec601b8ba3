"""Object storage for tests: moto's S3 server on loopback, behind a proxy that logs requests and injects faults."""

import http.client
import json
import random
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fsspec
import pytest
import s3fs
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

READ_TIMEOUT_SECONDS = 3
FAULTS = ("500", "503", "reset", "lost answer", "slow", "time-out")
HOP_HEADERS = ("connection", "transfer-encoding", "keep-alive", "content-length")


class Proxy(ThreadingHTTPServer):
    """Passes requests on to moto; a seeded share of them fails in one of the ways of FAULTS."""

    daemon_threads = True

    def __init__(self, target: tuple[str, int], *, fault_share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.fault_share = target, fault_share
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[str, int] = dict.fromkeys(FAULTS, 0)
        self._rng, self._lock = random.Random(seed), threading.Lock()

    def draw_fault(self, method: str, path: str) -> str:
        with self._lock:
            self.requests.append((method, path))
            if self._rng.random() >= self.fault_share:
                return ""
            fault = self._rng.choice(FAULTS)
            self.faults[fault] += 1
            return fault

    def fill(self, keys: Iterable[str], content: bytes) -> None:
        """Lay objects straight into the server's memory, as so many requests would."""
        store = s3_backends["123456789012"]["aws"]
        for key in keys:
            store.put_object("bucket", key, content)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def options(self) -> dict[str, Any]:
        """What s3fs must be told, as FSSPEC_S3 holds it."""
        config = {"read_timeout": READ_TIMEOUT_SECONDS, "connect_timeout": 5}
        return {
            "endpoint_url": self.url,
            "key": "access-key-of-test",
            "secret": "hush-hush-hush",
            "config_kwargs": config,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a process must be told."""
        return {"FSSPEC_S3": json.dumps(self.options), "AWS_DEFAULT_REGION": "us-east-1"}

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that were cut off cut off in turn


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.draw_fault(self.command, self.path)
        if fault in ("500", "503"):
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            self._send(int(fault), [], f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode())
            return
        if fault == "reset":
            self._reset()
            return
        if fault in ("slow", "time-out"):
            time.sleep(0.5 if fault == "slow" else READ_TIMEOUT_SECONDS + 1)
        upstream = http.client.HTTPConnection(*self.server.target)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        if fault == "lost answer":
            self._reset()
            return
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_HEADERS]
        length = response.getheader("Content-Length") if self.command == "HEAD" else None
        self._send(response.status, headers, content, length=length)

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer


@contextmanager
def serve_s3(*, fault_share: float = 0.0, seed: int = 0) -> Iterator[Proxy]:
    """An S3 server with one empty bucket, `bucket`."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    proxy = Proxy((host, port), fault_share=fault_share, seed=seed)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    urllib.request.urlopen(
        f"http://{host}:{port}/moto-api/reset", data=b""
    ).close()  # moto's buckets outlive its server
    s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}", key="key", secret="hush").mkdir("bucket")
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        moto.stop()


@contextmanager
def reached(proxy: Proxy, patch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Lead this process's fsspec to it."""
    patch.setitem(fsspec.config.conf, "s3", proxy.options)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield proxy
    s3fs.S3FileSystem.clear_instance_cache()
