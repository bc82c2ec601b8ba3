"""/media: pictures by name, and no file whatever is asked."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.dashboards.app.requests import ask
from tests.dashboards.conftest import App

PICTURE = b"the content of a picture"


class Shown:
    """Three pictures: one that is there, one that fails, one that takes its time."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.slow = threading.Event()

    def picture(self, name: str) -> tuple[bytes, str] | None:
        self.asked.append(name)
        if name == "/shown/broken.jpg":
            raise ValueError("https://user:hush-hush@host/shard is no shard")
        if name == "/shown/slow.jpg":
            self.slow.wait(20)
        return (PICTURE, "image/jpeg") if name in ("/shown/a b&é.jpg", "/shown/slow.jpg") else None


@pytest.fixture
def shown(app: App) -> Shown:
    shown = Shown()
    app.sources[:] = [shown]
    return shown


NAME = "/media?filepath=%2Fshown%2Fa+b%26%C3%A9.jpg"


def test_a_picture_is_answered_by_its_name_and_asked_for_again_by_its_mark(app: App, shown: Shown) -> None:
    status, headers, content = ask(app.port, NAME)
    assert (status, headers["content-type"], content) == (200, "image/jpeg", PICTURE)
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("private, no-cache", "nosniff")
    mark = [("If-None-Match", headers["etag"])]
    assert ask(app.port, NAME, headers=mark)[::2] == (304, b"")
    assert ask(app.port, NAME, headers=[("If-None-Match", '"another"')])[::2] == (200, PICTURE)
    assert ask(app.port, NAME, headers=[("Range", "bytes=1-2")])[::2] == (200, PICTURE)
    status, headers, content = ask(app.port, NAME, method="HEAD")
    assert (status, headers["content-length"], content) == (200, str(len(PICTURE)), b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(app.port, NAME, method=method)[0] == 405


HERE = Path(__file__).resolve()
NO_NAMES = {
    "a file": (f"/media?filepath={HERE}", 404),
    "a file by ..": (f"/media?filepath=/shown/..{HERE}", 404),
    "a file by encoded ..": (f"/media?filepath=/shown/%2e%2e{HERE}", 404),
    "a file by a URL": (f"/media?filepath=file://{HERE}", 404),
    "another's name": ("/media?filepath=/shown/b.jpg", 404),
    "the name, then a file": (f"{NAME}&filepath={HERE}", 400),
    "a file, then the name": (f"/media?filepath={HERE}&{NAME.partition('?')[2]}", 400),
    "the name and more": (f"{NAME}&size=3", 400),
    "the parameter in capitals": (f"/media?FILEPATH={HERE}", 400),
    "two parameters in one": (f"/media?filepath={HERE};filepath=/shown/a", 404),
    "no parameter": ("/media", 400),
    "an empty one": ("/media?filepath=", 404),
    "no value": ("/media?filepath", 400),
    "bytes that are no text": ("/media?filepath=%ff", 400),
    "a null byte": (f"/media?filepath={HERE}%00.jpg", 404),
    "another path": (f"/media/?filepath={HERE}", 404),
    "two slashes": (f"//media?filepath={HERE}", 404),
    "a dot": (f"/./media?filepath={HERE}", 404),
    "an encoded path": (f"/%6dedia?filepath={HERE}", 404),
    "a path in capitals": (f"/MEDIA?filepath={HERE}", 404),
}


@pytest.mark.parametrize(("path", "expected"), NO_NAMES.values(), ids=NO_NAMES)
def test_what_is_not_the_name_of_a_picture_gets_nothing(app: App, shown: Shown, path: str, expected: int) -> None:
    status, _, content = ask(app.port, path)
    assert status == expected
    assert len(content) < 100 and b"import" not in content
    assert all("/../" not in name for name in shown.asked)


def test_a_picture_that_cannot_be_made_is_one_line_for_the_user_and_none_of_its_secrets(
    app: App, shown: Shown, capfd: pytest.CaptureFixture[str]
) -> None:
    status, _, content = ask(app.port, "/media?filepath=/shown/broken.jpg")
    assert (status, content) == (500, b"this picture could not be made: see the terminal")
    said = capfd.readouterr().err
    assert said == "picture '/shown/broken.jpg': ValueError: https://***@host/shard is no shard\n"


def test_a_slow_picture_holds_up_no_other_request(app: App, shown: Shown) -> None:
    with ThreadPoolExecutor() as clients:
        slow = clients.submit(ask, app.port, "/media?filepath=/shown/slow.jpg")
        while "/shown/slow.jpg" not in shown.asked:
            time.sleep(0.01)
        assert ask(app.port, NAME)[0] == ask(app.port, "/fiftyone")[0] == 200
        assert not slow.done()
        shown.slow.set()
        assert slow.result()[0] == 200
