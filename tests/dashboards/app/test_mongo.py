"""A mongod that is absent, broken or silent: one sentence, at once."""

import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from dashboards.app.mongo import URI, WHEEL, find_mongod, ping, probe_mongod
from pipeline.errors import InputError

pytestmark = pytest.mark.processes
SECONDS = 2.0
PATIENCE_SECONDS = 20.0  # on a busy machine


def _program(folder: Path, script: str, *, mode: int = 0o755) -> Path:
    """A program in the place of mongod."""
    program = folder / "mongod"
    program.write_text(script)
    program.chmod(mode)
    return program


def test_a_fiftyone_without_mongod_names_the_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fiftyone").mkdir()
    (tmp_path / "fiftyone" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fiftyone", raising=False)
    with pytest.raises(InputError) as refused:
        find_mongod()
    assert f"without its database, {tmp_path}/fiftyone/db/bin/mongod" in str(refused.value)
    assert "-m pip install " in str(refused.value) and URI in str(refused.value)


BROKEN = {
    "a missing library": ("#!/bin/sh\necho 'mongod: libcurl.so.4: not found' >&2; exit 127", "apt install libcurl4"),
    "another fault": ("#!/bin/sh\necho 'out of order' >&2; exit 3", "does not run here: out of order"),
    "silence": ("#!/bin/sh\nexit 3", "does not run here: exit code 3"),
    "an old processor": (f"#!/bin/sh\nkill -{signal.SIGILL} $$", "lacks AVX"),
    "another processor": ("\x7fELF", "does not run here: Exec format error"),
    "no end": ("#!/bin/sh\nexec sleep 60", "took more than 2 s"),
}


@pytest.mark.parametrize(("script", "said"), BROKEN.values(), ids=BROKEN)
def test_a_mongod_that_does_not_run_is_told_in_its_own_words(tmp_path: Path, script: str, said: str) -> None:
    begun = time.monotonic()
    with pytest.raises(InputError, match=said):
        probe_mongod(_program(tmp_path, script))
    assert time.monotonic() - begun < PATIENCE_SECONDS


def test_a_mongod_that_must_not_be_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Permission denied"):
        probe_mongod(_program(tmp_path, "#!/bin/sh\n", mode=0o644))


def test_an_address_where_nobody_answers_is_told_without_its_password() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(InputError) as refused:
            ping(f"mongodb://anna:hush-hush-hush@{place}")
    assert time.monotonic() - begun < PATIENCE_SECONDS
    assert f"{URI}=mongodb://***@{place}: {place}: [Errno 111] Connection refused" in str(refused.value)
    assert "hush" not in str(refused.value) and "anna" not in str(refused.value)


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(InputError, match=f"{URI}=http://localhost: Invalid URI scheme"):
        ping("http://localhost")


def test_make_venv_installs_the_wheel_that_the_message_names() -> None:
    makefile = Path(__file__).parents[3] / "Makefile"
    assert f"MONGOD_WHEEL := {WHEEL}\n" in makefile.read_text()
