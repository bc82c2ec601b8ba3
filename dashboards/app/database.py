"""Database: FIFTYONE_DATABASE_URI, or a folder -> a MongoDB that FiftyOne will use, for as long as it is needed.

FiftyOne's own service attaches to any other FiftyOne's mongod on this machine, whatever its folder, so that datasets
seem to come and go. Here is a mongod of our own instead, at an address that FiftyOne is told. Several browses share it.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboards.app import mongod_keeper
from dashboards.app.mongo import URI, find_mongod, ping, probe_mongod
from pipeline.errors import InputError
from pipeline.storage.file_locks import wait_for_lock
from pipeline.storage.redaction import redact
from pipeline.storage.writable import refuse_unwritable

FOLDER = "FIFTYONE_DATABASE_DIR"
START_SECONDS = 60.0  # usually one; more where an earlier end by SIGKILL must be made good
END_SECONDS = 2.0
ADDRESS_IN_USE = 48  # mongod's exit code
QUIET = {
    "FIFTYONE_DATABASE_VALIDATION": "false",  # no banner, and no change of the database's compatibility version
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_EXECUTION_STORE_NOTIFICATION_SERVICE_DISABLED": "true",
    "FIFTYONE_LOGGING_LEVEL": "ERROR",
    "FIFTYONE_PLUGINS_DIR": str(Path(__file__).parent.parent / "panels"),  # ours alone: others may read any file
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
}


@dataclass(frozen=True)
class Database:
    """A MongoDB that answers."""

    uri: str
    folder: Path | None
    """Where our mongod keeps its files; None: it is the user's, by FIFTYONE_DATABASE_URI."""

    def __str__(self) -> str:
        """Name it, with what makes `fiftyone app launch` and `import fiftyone` see the same datasets."""
        if self.folder is None:
            return f"database: {redact(self.uri)}"
        return (
            f"database: {self.folder}; other FiftyOnes see it by {URI}={self.uri} while this runs, "
            f"and later by {FOLDER}={self.folder}"
        )


def check_database() -> None:
    """Refuse at once what `open_database` could not use; nothing is started.

    Raises:
        InputError: see `dashboards.app.mongo`.
    """
    if os.environ.get(URI):
        ping(os.environ[URI])
    else:
        refuse_unwritable(f"{FOLDER}={database_folder()}", database_folder())
        probe_mongod(find_mongod())


def open_database() -> Database:
    """Lead this process's FiftyOne, which must not be imported yet, to the user's MongoDB or to one of our own.

    It stays open until this process ends, since FiftyOne still tidies up at its exit.

    Raises:
        InputError: there is none, and how to get one.
    """
    check_database()
    os.environ.update(QUIET)
    if os.environ.get(URI):
        return Database(os.environ[URI], None)
    if "fiftyone" in sys.modules:
        raise RuntimeError("fiftyone was imported before its database was open")
    held = ExitStack()
    os.environ[URI] = held.enter_context(run_mongod(find_mongod(), database_folder()))
    atexit.register(held.close)  # before FiftyOne's own, and so after it
    return Database(os.environ[URI], database_folder())


def database_folder() -> Path:
    """Where our mongod keeps its files: FIFTYONE_DATABASE_DIR, or a folder of the user's own.

    Tags that somebody gave in the App live there alone: it is no cache.
    """
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(os.environ.get(FOLDER) or f"{data}/pbe-pretrain/fiftyone").expanduser().absolute()


@contextmanager
def run_mongod(mongod: Path, folder: Path) -> Iterator[str]:
    """Run a mongod on a folder, or share the one that runs there; it ends with the last process that shares it.

    Yields:
        Its address, on loopback.

    Raises:
        InputError: it does not start; in its own words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keeper = None
    with (folder / mongod_keeper.LOCK).open("w") as lock:
        wait_for_lock(lock)
        pipe, port = _join(folder)
        if pipe is None:
            pipe, port, keeper = _start(mongod, folder)
    try:
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        os.close(pipe)
        if keeper:
            with suppress(subprocess.TimeoutExpired):  # another browse shares it
                keeper.wait(END_SECONDS)


def _join(folder: Path) -> tuple[int | None, int]:
    """Open the writing end of the pipe to the keeper of this folder, and tell mongod's port; None: none runs."""
    try:
        pipe = os.open(folder / "browse.pipe", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # no pipe yet, or nobody reads it
        return None, 0
    port = int((folder / "browse.port").read_text())
    with socket.socket() as client:
        if client.connect_ex(("127.0.0.1", port)) == 0:
            return pipe, port
    os.close(pipe)  # its mongod has ended, and it will, too
    return None, 0


def _start(mongod: Path, folder: Path) -> tuple[int, int, "subprocess.Popen[bytes]"]:
    """Start a keeper and its mongod: the pipe's writing end, mongod's port, and the keeper."""
    place = folder / "browse.pipe"
    place.unlink(missing_ok=True)
    os.mkfifo(place, 0o600)
    for _ in range(3):  # another process may take the port before mongod does
        port = _free_port()
        (folder / "browse.port").write_text(str(port))
        arguments = ["--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
        reading = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(place, os.O_WRONLY | os.O_NONBLOCK)
        command = [sys.executable, "-I", "-S", mongod_keeper.__file__, str(reading), str(folder), str(mongod)]
        keeper = subprocess.Popen(
            [*command, *arguments, "--wiredTigerCacheSizeGB", "1"],
            pass_fds=[reading],
            start_new_session=True,  # Ctrl-C is for us alone
            stdin=subprocess.DEVNULL,  # and whoever reads our output need not wait for another browse
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reading)
        try:
            if _answers(port, keeper):
                return writing, port, keeper
        except BaseException:
            os.close(writing)
            raise
        os.close(writing)
        if keeper.returncode != ADDRESS_IN_USE:
            break
    raise InputError(f"{FOLDER}={folder}: mongod ended: {_last_words(folder / mongod_keeper.LOG)}")


def _answers(port: int, keeper: "subprocess.Popen[bytes]") -> bool:
    """Wait until mongod answers; False: it ended instead."""
    until = time.monotonic() + START_SECONDS
    while keeper.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return True
        if time.monotonic() > until:
            raise InputError(f"mongod does not answer after {START_SECONDS:g} s; see {mongod_keeper.LOG} in its folder")
        time.sleep(0.02)
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _last_words(log: Path) -> str:
    """What mongod said of its end: its last error, else its last line."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [entry for entry in map(_entry, lines) if entry.get("s") in ("E", "F")]
    if not errors:
        return lines[-1] if lines else "it said nothing"
    error = errors[-1].get("attr", {}).get("error", "")
    return f"{errors[-1].get('msg')}: {error.get('errmsg', error) if isinstance(error, Mapping) else error}"


def _entry(line: str) -> dict[str, Any]:
    """One line of mongod's log; empty where it is none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
