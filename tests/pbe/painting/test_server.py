"""In front of the page: foreign callers, closed routes and requests that are too large get one line."""

import asyncio
from typing import Any

import pytest

from pbe.painting.config import MOST_BYTES
from pbe.painting.server import Door

OWN = {"host": "127.0.0.1:7000", "origin": "http://127.0.0.1:7000"}


async def _page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def _ask(path: str, **headers: str) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Ask the door: status, content and headers of its answer."""
    given = {**OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(Door(_page, port=7000)(scope, lambda: None, send))
    return messages[0]["status"], messages[1]["body"], dict(messages[0]["headers"])


@pytest.mark.parametrize("path", ["/", "/config", "/assets/a.js", "/gradio_api/queue/join", "/gradio_api/upload"])
def test_the_page_and_what_it_needs_are_served_and_may_ask_for_nothing_outside(path: str) -> None:
    status, content, headers = _ask(path)
    assert (status, content) == (200, b"page")
    assert headers[b"content-security-policy"].startswith(b"default-src 'self' data: blob:;")


@pytest.mark.parametrize(
    "path", ["/monitoring", "/gradio_api/proxy=http://a", "/docs", "/gradio_api/process_recording"]
)
def test_other_routes_are_closed(path: str) -> None:
    assert _ask(path)[0] == 404


def test_foreign_callers_are_refused() -> None:
    assert _ask("/", host="evil.example:7000")[0] == 421
    assert _ask("/gradio_api/queue/join", origin="http://evil.example")[0] == 403


def test_what_is_sent_is_bounded_before_it_is_read() -> None:
    assert _ask("/gradio_api/upload", content_length=str(MOST_BYTES))[0] == 200
    for headers in (
        {"content_length": str(MOST_BYTES * 2)},
        {"content_length": "-1"},
        {"transfer_encoding": "chunked"},
    ):
        status, line, _ = _ask("/gradio_api/upload", **headers)
        assert status == 413 and line == b"give a file of at most 64 MiB"
