"""Server: a port, pictures by name -> FiftyOne's App on 127.0.0.1, in this process, until it is interrupted.

No session: nothing that one visitor does shows to another, except what is saved in a dataset.
"""

import asyncio
import http.client
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

from dashboards.app.guard import Guard
from dashboards.app.media import Media, Pictures
from pipeline.errors import InputError

FIRST_PORT, LAST_PORT = 5151, 5250  # where none is asked for
START_SECONDS = 60.0
END_SECONDS = 5.0


def serve(
    listener: socket.socket, pictures: Pictures, *, path: str = "/", say: Callable[[str], None] = print
) -> NoReturn:
    """Serve FiftyOne's App and our pictures until this process is interrupted.

    Args:
        listener: as `pipeline.serving.ports.bind_port` gives it; it is closed in the end.
        pictures: answer `/media`.
        path: of the page to name, such as `/datasets/NAME`; its dataset must be complete.
        say: takes the lines that tell where the page is, once it answers.

    Raises:
        KeyboardInterrupt: it was interrupted, which is how it ends.
        InputError: it does not answer, or ended by itself.
    """
    with serving(listener, pictures) as server:
        port = server.port
        say(f"FiftyOne: http://127.0.0.1:{port}{path}  (Ctrl-C ends it)")
        say(f"from another machine: ssh -N -L {port}:127.0.0.1:{port} {socket.gethostname()}, then the same address")
        while server.is_alive():
            server.join(1.0)
    raise InputError("the server ended by itself; run the same command again")


@contextmanager
def serving(listener: socket.socket, pictures: Pictures) -> Iterator["Server"]:
    """Serve beside what this thread does; the page answers when the block begins."""
    port = listener.getsockname()[1]
    server = Server(listener, Guard(_fiftyone_app(port), Media(pictures), port=port))
    server.start()
    try:
        _wait_for_page(port)
        yield server
    finally:
        server.stop()


class Server(threading.Thread):
    """Runs an ASGI application in an event loop of its own; this process's signals stay with its main thread."""

    def __init__(self, listener: socket.socket, app: Any) -> None:
        super().__init__(name="FiftyOne", daemon=True)
        self.port: int = listener.getsockname()[1]
        self._listener, self._app = listener, app
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self) -> None:
        config = Config()
        config.bind = [f"fd://{self._listener.detach()}"]
        config.loglevel = "ERROR"
        config.graceful_timeout = 0.2  # an open page holds one connection for ever
        self._loop.run_until_complete(serve_asgi(self._app, config, shutdown_trigger=self._stopping.wait))
        for task in (left := asyncio.all_tasks(self._loop)):  # streams of pages that are still open
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.close()

    def stop(self) -> None:
        """End within 5 s."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.join(END_SECONDS)


def _fiftyone_app(port: int) -> Any:
    """FiftyOne's ASGI application, confined, with pages that do not move each other."""
    os.environ["FIFTYONE_SERVER"] = "1"
    from fiftyone.server.app import app
    from fiftyone.server.events import set_port

    from dashboards.app.confined import confine
    from dashboards.app.pages import part_pages

    confine()
    part_pages()
    set_port(port)
    return app


def _wait_for_page(port: int) -> None:
    """Ask for the page until it comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except OSError as error:
        raise InputError(f"the server does not answer: {error}") from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise InputError(f"FiftyOne's page answers with {status}; install fiftyone>=1.22,<1.23")
