"""Media: a request for `/media` -> a picture by its name, made by us; no path ever comes from a request.

FiftyOne's own `/media` answers with any file that the user may read.
"""

import hashlib
import posixpath
import sys
from typing import Protocol
from urllib.parse import parse_qsl

import anyio
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from pipeline.storage.redaction import redact

AT_ONCE = 8  # pictures that are made at the same time
HEADERS = {
    "Accept-Ranges": "none",
    "Cache-Control": "private, no-cache",  # kept by the browser, asked for again: a rebuild may change it
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Pictures(Protocol):
    """Makes pictures by name; called from several threads at once."""

    def picture(self, name: str) -> tuple[bytes, str] | None:
        """Make the picture of that name: its content and media type, such as `image/jpeg`; None: there is none.

        Names are a dictionary's keys, the `filepath`, `mask_path` and `map_path` of documents, never paths. What has
        gone since, such as a shard, gives a picture that says so.
        """


class Media:
    """An ASGI application that answers `/media?filepath=NAME`, and nothing else."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._limiter: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(scope)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("pictures can only be read", 405, {"Allow": "GET, HEAD"})
        name = _name(scope["query_string"])
        if name is None:
            return PlainTextResponse("give one filepath, and nothing else", 400)
        if posixpath.normpath(name) != name:  # no name of ours: what is asked must not depend on how it is read
            return PlainTextResponse("there is no picture of that name", 404)
        try:
            # A thread each, so that a slow picture holds up no other request.
            self._limiter = self._limiter or anyio.CapacityLimiter(AT_ONCE)
            made = await anyio.to_thread.run_sync(self._pictures.picture, name, limiter=self._limiter)
        except Exception as error:  # one broken picture must not end the page, nor stay unseen
            sys.stderr.write(f"picture {name!r}: {type(error).__name__}: {redact(str(error))}\n")
            return PlainTextResponse("this picture could not be made: see the terminal", 500)
        if made is None:
            return PlainTextResponse("there is no picture of that name", 404)
        content, media_type = made
        headers = {**HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
        if headers["ETag"] in [value.decode("latin-1") for key, value in scope["headers"] if key == b"if-none-match"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)


def _name(query: bytes) -> str | None:
    """The one parameter of a query; None: there are others, or it is not text."""
    try:
        parameters = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return None
    return parameters[0][1] if len(parameters) == 1 and parameters[0][0] == "filepath" else None
