"""A database for FiftyOne of this test process, started once; FiftyOne itself is imported only with it."""

import os
import sys
from collections.abc import Iterator

import pytest

from dashboards.app.database import QUIET, run_mongod
from dashboards.app.mongo import URI, find_mongod, probe_mongod
from pipeline.errors import InputError

REQUIRED = "PBE_REQUIRE_BROWSER"  # set by CI, where what is missing must not be skipped


def skip(reason: str) -> None:
    """Skip a test, or fail it where CI has promised that nothing is missing."""
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, and {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def fiftyone_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mongod of our own, to which this process's FiftyOne leads; import FiftyOne, and what does so, in tests."""
    try:
        mongod = find_mongod()
        probe_mongod(mongod)
    except InputError as error:
        skip(str(error))
    assert "fiftyone" not in sys.modules, "a test module has imported FiftyOne before its database was there"
    with run_mongod(mongod, tmp_path_factory.mktemp("mongod")) as uri, pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUIET, URI: uri}.items():
            patch.setenv(name, value)
        yield uri
