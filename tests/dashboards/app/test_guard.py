"""In front of FiftyOne: foreign hosts and pages, and routes that read or write files, are refused."""

import json
from pathlib import Path

import pytest

from dashboards.app.guard import PAGES, ROUTES, is_open
from tests.dashboards.app.requests import ask
from tests.dashboards.conftest import App

HERE = Path(__file__).resolve()
CLOSED = {
    "/dataset/{dataset_id}/sample/{sample_id}/commit-mask",  # writes a file that a document names
    "/frames",
    "/get-similar-labels-frames",
    "/media",  # ours
    "/ontologies/{name}/attributes",
    "/ontologies/{name}/taxonomy",
    "/runtime-assets/models/{family}/{model_id:path}",
    "/screenshot/{img:str}",
    "/video-labels/index",
    "/video-labels/window",
}


def test_every_route_of_fiftyone_was_looked_at(app: App) -> None:
    from fiftyone.server.app import app as fiftyone

    routes = {getattr(route, "path", "") for route in fiftyone.routes} - {""}  # the last one: the App's own pages
    assert routes - CLOSED == set(ROUTES) - {"/plugins/{file:path}"}
    for closed in CLOSED - {"/media"}:
        assert not is_open(closed.replace("{", "").replace("}", ""))


def test_every_page_of_the_app_is_open(app: App) -> None:
    import fiftyone.server.app

    static = Path(fiftyone.server.app.__file__).parent / "static"
    assert {place.name for place in static.iterdir()} - {"404.html"} == set(PAGES) - {"datasets"}
    assert (
        ask(app.port, "/")[0] == ask(app.port, "/datasets/any?view=some")[0] == ask(app.port, "/favicon.ico")[0] == 200
    )


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_server_is_reached_by_its_two_names(app: App, name: str) -> None:
    own = [("Origin", f"http://{name}:{app.port}")]
    assert ask(app.port, "/fiftyone", host=f"{name}:{app.port}", headers=own)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example:{}", "evil.example", "127.0.0.1", "localhost:1", "127.0.0.1:{}.evil", "-"]
)
def test_a_foreign_host_gets_nothing(app: App, host: str) -> None:
    for path in ("/", "/fiftyone", "/media?filepath=/a.jpg"):
        status, _, content = ask(app.port, path, host=host.format(app.port))
        assert status in (400, 421) and b"<html" not in content


def test_two_hosts_get_nothing(app: App) -> None:
    assert ask(app.port, "/", headers=[("Host", "evil.example")])[0] in (400, 421)


FOREIGN = {
    "another site": [("Origin", "http://evil.example")],
    "another port": [("Origin", "http://127.0.0.1:1")],
    "a hidden page": [("Origin", "null")],
    "a picture in another site's page": [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_page_gets_nothing(app: App, headers: list[tuple[str, str]]) -> None:
    query = json.dumps({"query": "{__typename}"})
    assert ask(app.port, "/graphql", method="POST", headers=headers, body=query)[0] == 403
    assert ask(app.port, "/media?filepath=/a.jpg", headers=headers)[0] == 403


def test_a_link_in_a_mail_opens_the_page(app: App) -> None:
    assert ask(app.port, "/", headers=[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")])[0] == 200


def test_websockets_are_refused(app: App) -> None:
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    status, _, _ = ask(app.port, "/graphql", headers=[*upgrade, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    assert status == 403


@pytest.mark.parametrize("prefix", ["/plugins/", "/assets/", "/datasets/", "/datasets/a/", "/"])
@pytest.mark.parametrize("up", ["../" * 20, "%2e%2e/" * 20, "..%2f" * 20, "/"])
def test_no_file_is_reached_through_the_apps_own_files(app: App, prefix: str, up: str) -> None:
    status, _, content = ask(app.port, prefix + up + str(HERE).lstrip("/"))
    assert status in (307, 404) and len(content) < 100
