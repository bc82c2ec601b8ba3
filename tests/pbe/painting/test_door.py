"""In front of the page: foreign callers, closed routes and requests that are too large get one line."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pbe.painting.config import MOST_BYTES
from pbe.painting.door import FRAME_BYTES, Door

OWN = {"host": "127.0.0.1:7000", "origin": "http://127.0.0.1:7000"}
UPLOADS = Path("/tmp/pbe-app-x/uploads")


async def _page(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what is sent, or `page`."""
    content = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": content or b"page"})


def _ask(path: str, *pieces: bytes, **headers: str) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Ask the door: status, content and headers of its answer; with content by POST."""
    given = {**OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": "POST" if pieces else "GET",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    messages: list[Any] = []
    left = list(pieces or [b""])

    async def receive() -> Any:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(Door(_page, port=7000, files=UPLOADS)(scope, receive, send))
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


def test_of_files_only_uploads_and_results_are_served() -> None:
    assert _ask(f"/gradio_api/file={UPLOADS}/a/edited.png")[0] == 200
    beside = (f"{UPLOADS}-other/a.png", f"{UPLOADS}/../a.png", f"{UPLOADS}/\0")
    for elsewhere in ("https://evil.example/a.png", "//evil.example/a.png", "/etc/hostname", "", *beside):
        assert _ask(f"/gradio_api/file={elsewhere}")[0] == 404


def _file(path: str) -> Any:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_a_request_that_names_uploads_alone_passes_as_it_came() -> None:
    sent = json.dumps({"data": [{"background": _file(f"{UPLOADS}/a/image.png"), "layers": []}, None, 3]}).encode()
    assert _ask("/gradio_api/queue/join", sent[:30], sent[30:])[:2] == (200, sent)


@pytest.mark.parametrize("route", ["queue/join", "run/predict", "component_server"])
def test_a_request_may_name_no_file_but_uploads(route: str) -> None:
    outside = (
        "/etc/hostname",
        f"{UPLOADS}/../a.png",
        f"{UPLOADS}-other/a.png",
        "a.png",
        "https://evil.example/a",
        "\0",
    )
    for path in outside:
        for data in ({"background": _file(path)}, [[_file(path)]], {"layers": [None, _file(path)]}):
            status, line, _ = _ask(f"/gradio_api/{route}", json.dumps({"data": [None, data]}).encode())
            assert status == 403 and b"\n" not in line


def test_what_is_no_json_is_refused_and_not_handed_on() -> None:
    for content in (b"--x\r\n", b"[" * 100_000, b"\xff"):
        assert _ask("/gradio_api/queue/join", content)[0] == 403


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
    assert _ask("/gradio_api/queue/join", content_length=str(FRAME_BYTES + 1))[0] == 413
