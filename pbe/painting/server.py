"""Server: a loaded page -> 127.0.0.1, until Ctrl-C.

gradio asks nobody who they are: in front of it stands `pbe.painting.door`.
"""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from pbe.editing.run import load
from pbe.painting.config import MOST_BYTES, PaintingConfig
from pbe.painting.door import Door
from pbe.painting.painter import Painter
from pbe.painting.samples import read_samples
from pbe.painting.sweep import swept

END_SECONDS = 1  # an open page holds a connection for ever


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
        door = Door(_mounted(page), port=listener.getsockname()[1], files=places["uploads"])
        try:
            with swept(places["uploads"]):
                _run(door, listener)
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
