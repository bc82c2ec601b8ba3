"""Requests as they stand on the wire: paths and headers that no client library would send."""

import http.client
from collections.abc import Iterable


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    host: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: str = "",
) -> tuple[int, dict[str, str], bytes]:
    """Send a request to 127.0.0.1: the answer's status, headers by lower-case name, and content.

    Args:
        host: the Host header; `-`: none; by default the right one.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if host != "-":
            connection.putheader("Host", host or f"127.0.0.1:{port}")
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() or None)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
