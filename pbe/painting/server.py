"""Server: a loaded page -> 127.0.0.1, until Ctrl-C.

gradio asks nobody who they are. So foreign callers are refused (`pipeline.serving.callers`), only those of its routes
are served that the page needs, a request is bounded before it is read, and the page may ask for nothing outside.
"""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pbe.editing.run import load
from pbe.painting.config import MOST_BYTES, PaintingConfig
from pbe.painting.painter import Painter
from pbe.painting.samples import read_samples
from pipeline.serving.callers import Refusal, refuse_foreign

ROUTES = ("/assets/", "/static/", "/svelte/", "/gradio_api/file=", "/gradio_api/heartbeat/")
"""What is served: paths that begin so, and these."""
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
    "/gradio_api/upload",
    "/gradio_api/upload_progress",
)
FRAME_BYTES = 1 << 20  # of a request, around a file
TOO_LARGE, CLOSED = 413, 404
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
END_SECONDS = 1  # an open page holds a connection for ever
Message = dict[str, Any]


def serve(config: PaintingConfig, listener: socket.socket) -> int:
    """Load the model and serve the page until this process is interrupted.

    Args:
        listener: as `pipeline.serving.ports.bind_port` gives it.

    Raises:
        KeyboardInterrupt: it was interrupted, which is how it ends.
        InputError: the model cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="pbe-app-") as folder:
        places = {name: Path(folder) / name for name in ("uploads", "work")}
        for place in places.values():
            place.mkdir()
        _keep_to_ourselves(places["uploads"])
        base = config.edits(folder)
        editor = load(base)
        painter = Painter(editor, base)
        from pbe.painting.page import make_page  # brings gradio, which reads its environment when it is imported

        page = make_page(painter, read_samples(), model=config.model, work=places["work"])
        try:
            _run(Door(_mounted(page), port=listener.getsockname()[1]), listener)
        finally:
            painter.end()
    return 0


def _keep_to_ourselves(uploads: Path) -> None:
    """Leave out all that an environment says of gradio: shared links, other addresses, more folders, reports home."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)


def _mounted(page: Any) -> Any:
    """The page as an ASGI application."""
    import fastapi
    import gradio as gr

    from pbe.painting.page import CSS, HEAD

    return gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="/",
        server_name="127.0.0.1",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=MOST_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        css_paths=[CSS],
        head_paths=[HEAD],
    )


def _run(app: Any, listener: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM."""
    import uvicorn

    class Server(uvicorn.Server):  # type: ignore[misc]  # uvicorn is not typed here
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            port = listener.getsockname()[1]
            print(f"paint at http://127.0.0.1:{port}/  (Ctrl-C ends it)", flush=True)
            print(f"from another machine: ssh -N -L {port}:127.0.0.1:{port} {socket.gethostname()}, then that address")

    settings = uvicorn.Config(
        app, log_level="error", access_log=False, timeout_graceful_shutdown=END_SECONDS, lifespan="on"
    )
    Server(settings).run(sockets=[listener])


class Door:
    """An ASGI application in front of gradio's.

    Args:
        app: gradio's.
        port: at which this server is reached.
    """

    def __init__(self, app: Any, *, port: int) -> None:
        self._app, self._port = app, port

    async def __call__(self, scope: Message, receive: Callable[[], Any], send: Callable[[Message], Any]) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # the page uses none
            return
        if refusal := self._refuse(scope):
            await _answer(refusal, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = (b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, send_with_policy)

    def _refuse(self, scope: Message) -> Refusal | None:
        """The refusal that a request gets, or None."""
        if foreign := refuse_foreign(scope["headers"], port=self._port):
            return foreign
        path = scope["path"].rstrip("/") or "/"
        if path not in PATHS and not path.startswith(ROUTES):
            return CLOSED, "this page has nothing there"
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) > MOST_BYTES + FRAME_BYTES:
            return TOO_LARGE, f"give a file of at most {MOST_BYTES >> 20} MiB"
        return None


async def _answer(refusal: Refusal, send: Callable[[Message], Any]) -> None:
    status, why = refusal
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": why.encode()})
