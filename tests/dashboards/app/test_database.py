"""A mongod of our own: shared by those who need it, gone with the last of them, however they end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dashboards.app.database import FOLDER, database_folder, run_mongod
from dashboards.app.mongo import URI, find_mongod, ping
from pipeline.errors import InputError

WAIT = """
import sys
from dashboards.app.database import open_database
print(open_database().uri, flush=True)
sys.stdin.read()
"""
SECONDS = 5.0
pytestmark = pytest.mark.usefixtures("fiftyone_database")  # skips where mongod is absent


def _browse(folder: Path) -> "subprocess.Popen[str]":
    """A process that keeps a database open until its input ends."""
    environment = {**os.environ, FOLDER: str(folder)}
    del environment[URI]
    return subprocess.Popen(
        [sys.executable, "-c", WAIT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _mongods(folder: Path) -> list[psutil.Process]:
    """The mongods and keepers of a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in (process.info["cmdline"] or ()) and process.status() != psutil.STATUS_ZOMBIE
    ]


def _gone(folder: Path) -> bool:
    until = time.monotonic() + SECONDS
    while _mongods(folder):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().split()[0]


def test_two_processes_share_a_mongod_that_ends_with_the_last_even_if_that_is_killed(tmp_path: Path) -> None:
    first = _browse(tmp_path)
    uri = _address(first)
    second = _browse(tmp_path)
    assert _address(second) == uri and uri.startswith("mongodb://127.0.0.1:")
    assert len(_mongods(tmp_path)) == 2
    first.kill()
    first.communicate(timeout=SECONDS)  # its output ends with it
    time.sleep(0.5)
    ping(uri)
    second.kill()
    second.wait()
    assert _gone(tmp_path)


def test_a_mongod_ends_with_its_keeper(tmp_path: Path) -> None:
    browse = _browse(tmp_path)
    _address(browse)
    [keeper] = [process for process in _mongods(tmp_path) if "mongod_keeper" in " ".join(process.cmdline())]
    keeper.send_signal(signal.SIGKILL)
    assert _gone(tmp_path)
    # What was started again finds neither the old pipe nor the old port.
    again = _browse(tmp_path)
    ping(_address(again))
    browse.communicate("")
    again.communicate("")
    assert _gone(tmp_path)


def test_a_folder_that_another_mongod_holds_is_refused_in_its_words(tmp_path: Path) -> None:
    held = [find_mongod(), "--dbpath", tmp_path, "--port", "0", "--bind_ip", "127.0.0.1", "--nounixsocket"]
    other = subprocess.Popen(held, stdout=subprocess.DEVNULL)
    while not (tmp_path / "mongod.lock").exists() or not (tmp_path / "mongod.lock").read_text():
        time.sleep(0.02)
    with (
        pytest.raises(InputError, match=r"Another mongod instance is already running"),
        run_mongod(find_mongod(), tmp_path),
    ):
        pass
    other.terminate()
    other.wait()


def test_the_folder_is_the_one_told_or_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv(FOLDER, raising=False)
    assert database_folder() == tmp_path / "pbe-pretrain" / "fiftyone"
    monkeypatch.setenv(FOLDER, "~/elsewhere")
    assert database_folder() == Path.home() / "elsewhere"
