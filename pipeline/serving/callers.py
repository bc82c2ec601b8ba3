"""Callers: a request's headers -> nothing, or why it is refused.

A server on 127.0.0.1 that asks nobody who they are serves only its own addresses (a foreign page that points its own
name here reads nothing), and nothing that another site's page sends.
"""

from collections.abc import Collection, Sequence

MISDIRECTED, FORBIDDEN = 421, 403
HTTP_PORT = 80  # which browsers leave out
Headers = Sequence[tuple[bytes, bytes]]
Refusal = tuple[int, str]
"""HTTP status, and one line for whoever asked."""


def refuse_foreign(headers: Headers, *, port: int) -> Refusal | None:
    """Refuse requests to other names than this server's, and those of other sites' pages.

    Args:
        headers: of an ASGI scope, names in lower case.
        port: at which this server is reached.
    """
    names = ["127.0.0.1", "localhost"]
    hosts = [f"{name}:{port}" for name in names] + (names if port == HTTP_PORT else [])
    origins = [f"http://{host}" for host in hosts]
    if _values(headers, b"host") not in [[host] for host in hosts]:
        return MISDIRECTED, f"this server is reached at {' and '.join(origins)} only"
    if any(origin not in origins for origin in _values(headers, b"origin")):
        return FORBIDDEN, "requests of other pages are refused"
    if "cross-site" in _values(headers, b"sec-fetch-site") and "navigate" not in _values(headers, b"sec-fetch-mode"):
        return FORBIDDEN, "requests of other pages are refused"
    return None


def _values(headers: Headers, name: bytes) -> Collection[str]:
    """All values of a header."""
    return [value.decode("latin-1") for key, value in headers if key == name]
