"""Datasets to look at, and a database for FiftyOne, which is imported only with it."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashboards.app.database import QUIET, run_mongod
from dashboards.app.mongo import URI, find_mongod, probe_mongod
from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.serving.ports import bind_port
from schemas.shards import MANIFEST
from tests.conftest import skip
from tests.pipeline.storage.odd_names import ALL_OF_IT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from dashboards.app.media import Pictures


@pytest.fixture(scope="session")
def fiftyone_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mongod of our own, to which this process's FiftyOne leads; import FiftyOne, and what does, in tests alone."""
    try:
        mongod = find_mongod()
        probe_mongod(mongod)
    except InputError as error:
        skip(str(error))
    with run_mongod(mongod, tmp_path_factory.mktemp("mongod")) as uri, pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUIET, URI: uri}.items():
            patch.setenv(name, value)
        if fiftyone := sys.modules.get("fiftyone"):  # a test imported it: it has read its settings, but not connected
            patch.setattr(fiftyone, "config", sys.modules["fiftyone.core.config"].load_config())
        yield uri


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished") / ALL_OF_IT


@pytest.fixture
def finished(make: Callable[..., PreparedJob], _finished: Path) -> Path:
    """A finished dataset of 14 samples of the sample photos, with its sources, to read only."""
    if not (_finished / MANIFEST).exists():
        make(_finished)
    return _finished


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    """The same, as a copy to break."""
    return Path(shutil.copytree(finished, tmp_path / "dataset"))


@dataclass
class App:
    """FiftyOne's App as we serve it, for all tests of this process; each adds the pictures of its datasets."""

    port: int = 0
    sources: "list[Pictures]" = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def picture(self, name: str) -> tuple[bytes, str] | None:
        return next((made for source in self.sources if (made := source.picture(name))), None)


@pytest.fixture(scope="session")
def app(fiftyone_database: str) -> Iterator[App]:
    """The App, in this process and on its database."""
    from dashboards.app.server import FIRST_PORT, LAST_PORT, serving

    served = App()
    with serving(bind_port(None, first=FIRST_PORT, last=LAST_PORT), served) as server:
        served.port = server.port
        yield served


@pytest.fixture
def page(app: App, chromium: "Browser") -> Iterator["Page"]:
    """A new visitor of the App, who has seen its advertisement."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as visitor:
        visitor.add_init_script("localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')")
        # The page asks fonts.googleapis.com for its font, and waits where nothing answers.
        visitor.route(lambda url: not url.startswith(app.url), lambda route: route.abort())
        visitor.set_default_timeout(60_000)
        yield visitor.new_page()
