"""The App as users start it: its port, its page in a browser, its end."""

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from PIL import Image

from dashboards.app.database import FOLDER
from dashboards.app.mongo import URI
from pipeline.command import EXIT_INTERRUPTED, EXIT_USAGE
from tests.dashboards.app.requests import ask
from tests.dashboards.conftest import App

if TYPE_CHECKING:
    from playwright.sync_api import Page

# What a verb does: the port, the database, the App; no pictures.
BROWSE = """
import sys
from pipeline.command import guard, stop_on_sigterm
from dashboards.app.database import open_database
from dashboards.app.server import FIRST_PORT, LAST_PORT, serve
from pipeline.serving.ports import bind_port

class Nothing:
    def picture(self, name):
        return None

def browse():
    listener = bind_port(int(sys.argv[1]), first=FIRST_PORT, last=LAST_PORT)
    open_database()
    serve(listener, Nothing(), path="/datasets/tiny", say=lambda line: print(line, flush=True))

stop_on_sigterm()
sys.exit(guard(browse, go_on="run the same command again"))
"""

TAG = "order => fetch('/tag', {method: 'POST', body: JSON.stringify(order)})"  # as the App's tag button does


def _browse(port: int, folder: Path) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name != URI}
    return subprocess.Popen(
        [sys.executable, "-c", BROWSE, str(port)],
        env={**environment, FOLDER: str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _mongods(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if str(folder) in (process.info["cmdline"] or ())]


def test_the_page_is_named_once_it_answers_and_ctrl_c_ends_everything(fiftyone_database: str, tmp_path: Path) -> None:
    port = _free_port()
    browse = _browse(port, tmp_path)
    assert browse.stdout
    lines = [browse.stdout.readline() for _ in range(2)]
    assert lines[0] == f"FiftyOne: http://127.0.0.1:{port}/datasets/tiny  (Ctrl-C ends it)\n"
    assert lines[1].startswith(f"from another machine: ssh -N -L {port}:127.0.0.1:{port} ")
    assert ask(port, "/datasets/tiny")[0] == 200
    # An open page holds a stream of events, and the end does not wait for it.
    page = json.dumps({"subscription": "page", "events": ["state_update"], "initializer": {"dataset": None}})
    stream = http.client.HTTPConnection("127.0.0.1", port)
    stream.request("POST", "/events", page, {"Content-Type": "application/json"})
    assert stream.getresponse().status == 200
    begun = time.monotonic()
    browse.send_signal(signal.SIGINT)
    out, err = browse.communicate()
    stream.close()
    assert time.monotonic() - begun < 10
    assert (browse.returncode, out, err) == (EXIT_INTERRUPTED, "", "\ninterrupted; run the same command again\n")
    assert not _mongods(tmp_path)


def test_a_taken_port_is_refused_at_once_and_never_shared(fiftyone_database: str, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        browse = _browse(port, tmp_path / "database")
        out, err = browse.communicate(timeout=30)
    assert (browse.returncode, out) == (EXIT_USAGE, "")
    assert err.startswith(f"error: --port {port}: another program listens there;")
    assert not (tmp_path / "database").exists()


class Squares:
    """Pictures of one colour."""

    def picture(self, name: str) -> tuple[bytes, str] | None:
        if not name.startswith("/squares/"):
            return None
        content = io.BytesIO()
        Image.new("RGB", (64, 64), (200, 30, 30)).save(content, "PNG")
        return content.getvalue(), "image/png"


def test_a_dataset_is_seen_in_a_browser_and_a_tag_given_there_survives_a_rebuild(app: App, page: "Page") -> None:
    from dashboards.app.documents import Row, group_id, sample_id, write_samples
    from dashboards.app.named import forget, open_named

    fields = {
        "metadata": {"width": 64, "height": 64},
        "box": [{"label": "Dog", "bounding_box": [0.25, 0.25, 0.5, 0.5]}],
    }
    names = ("source", "masked")
    rows = [
        Row(f"k{number}", {name: {"filepath": f"/squares/k{number}/{name}.png", **fields} for name in names})
        for number in range(3)
    ]
    labels = {"metadata": "ImageMetadata", "box": "Detections"}
    write_samples(open_named("squares", default_slice="source"), rows, labels=labels)
    app.sources[:] = [Squares()]
    asked: list[tuple[str, int]] = []
    page.on("response", lambda answer: asked.append((answer.url.removeprefix(app.url), answer.status)))

    page.goto(f"{app.url}/datasets/squares")
    page.wait_for_function("document.querySelectorAll('[data-cy=looker] [canvas-loaded=true]').length == 3")
    red = Image.open(io.BytesIO(page.locator("[data-cy=looker]").first.screenshot())).convert("RGB")
    assert red.getpixel((red.width // 8, red.height // 2)) == (200, 30, 30)

    with page.expect_response(f"{app.url}/media?filepath=%2Fsquares%2Fk1%2Fmasked.png"):
        page.goto(f"{app.url}/datasets/squares?groupId={group_id('squares', 'k1')}&slice=source")
    page.wait_for_selector("[data-cy=modal] [data-cy=looker]")
    page.evaluate(
        TAG, {"dataset": "squares", "sample_ids": [sample_id("squares", "k1", "source")], "changes": {"bad": True}}
    )
    write_samples(open_named("squares", default_slice="source"), rows, labels=labels)
    assert open_named("squares", default_slice="source").get_group(group_id("squares", "k1"))["source"].tags == ["bad"]

    assert [found for found in asked if found[1] >= 400] == []
    forget("squares")
