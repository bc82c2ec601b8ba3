"""Door: a request -> gradio's answer, or one line why there is none.

gradio asks nobody who they are. So foreign callers are refused (`pipeline.serving.callers`), only those of its routes
are served that the page needs, a request is bounded before it is read, the page may ask for nothing outside, and no
request names a file that was not uploaded: gradio would copy any file of this machine, and fetch from others, for it.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from pbe.painting.config import MOST_BYTES
from pipeline.serving.callers import Refusal, refuse_foreign

FILES, UPLOAD = "/gradio_api/file=", "/gradio_api/upload"
ROUTES = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/")
"""What is served: paths that begin so, uploads and results, and these."""
PATHS = (
    "/",
    "/config",
    "/favicon.ico",
    "/manifest.json",
    "/theme.css",
    "/gradio_api/cancel",
    "/gradio_api/component_server",
    "/gradio_api/info",
    "/gradio_api/queue/data",
    "/gradio_api/queue/join",
    "/gradio_api/reset",
    "/gradio_api/run/predict",
    "/gradio_api/startup-events",
    UPLOAD,
    "/gradio_api/upload_progress",
)
FRAME_BYTES = 1 << 20  # of a request, around a file or without one
TOO_LARGE, CLOSED, FORBIDDEN = 413, 404, 403
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Door:
    """An ASGI application in front of gradio's.

    Args:
        app: gradio's.
        port: at which this server is reached.
        files: the folder of uploads and results.
    """

    def __init__(self, app: Any, *, port: int, files: Path) -> None:
        self._app, self._port, self._files = app, port, files.resolve()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # the page uses none
            return
        refusal = self._refuse(scope)
        if not refusal and scope["method"] == "POST" and scope["path"].rstrip("/") != UPLOAD:
            content = await _read(receive)
            refusal, receive = self._refuse_content(content), _again(content, receive)
        if refusal:
            await _answer(refusal, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = (b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, send_with_policy)

    def _refuse(self, scope: Message) -> Refusal | None:
        """The refusal that a request gets by its head, or None."""
        if foreign := refuse_foreign(scope["headers"], port=self._port):
            return foreign
        path = scope["path"].rstrip("/") or "/"
        own_file = path.startswith(FILES) and self._holds(path.removeprefix(FILES))
        if path not in PATHS and not path.startswith(ROUTES) and not own_file:
            return CLOSED, "this page has nothing there"
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        most = FRAME_BYTES + (MOST_BYTES if path == UPLOAD else 0)
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) > most:
            return TOO_LARGE, f"give a file of at most {MOST_BYTES >> 20} MiB"
        return None

    def _refuse_content(self, content: bytes) -> Refusal | None:
        """The refusal of a request that is no JSON, or names a file that was not uploaded; else None."""
        try:
            names = list(_named_files(json.loads(content or b"null")))
        except (ValueError, RecursionError):
            return FORBIDDEN, "this page sends JSON alone"
        return None if all(map(self._holds, names)) else (FORBIDDEN, "a request may name uploaded files alone")

    def _holds(self, name: str) -> bool:
        """Whether a file is one of uploads and results, wherever `..` and links lead."""
        try:
            return Path(name).resolve().is_relative_to(self._files)
        except (OSError, ValueError):  # a loop of links, a name that no file can have
            return False


def _named_files(content: Any) -> Iterator[str]:
    """List what gradio would take for a file's path or address, anywhere in JSON."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("path"), str):
                yield value["path"]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


async def _read(receive: Receive) -> bytes:
    """Read a request's content; its head has bounded it."""
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return content


def _again(content: bytes, receive: Receive) -> Receive:
    """Give a request's content once more, then what comes after it."""
    waiting = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


async def _answer(refusal: Refusal, send: Send) -> None:
    status, why = refusal
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
