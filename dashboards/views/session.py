"""Session: flags and a folder -> its FiftyOne datasets: built and served until Ctrl-C, read back, or forgotten."""

import hashlib
import importlib.util
import re
import shlex
from typing import Any

from dashboards.app.database import Database, check_database, open_database
from dashboards.config import BrowseConfig
from dashboards.console import say
from dashboards.loading import Loaded
from dashboards.places import write_file
from pipeline.errors import InputError
from pipeline.hints import command_line, short_path
from pipeline.serving.ports import bind_port
from pipeline.storage.folder import Folder

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")
_PARTS, _DIGITS, _LONGEST = 2, 6, 60


def refuse_no_fiftyone() -> None:
    """Refuse at once where FiftyOne or its database is missing.

    Raises:
        InputError: with the one command that installs it, or the page that does without.
    """
    if importlib.util.find_spec("fiftyone") is None:
        raise InputError(
            "FiftyOne is not installed: pip install 'pbe-pretrain[dashboards]'; or give --sheet page.html, one HTML "
            "file that needs nothing"
        )
    check_database()


def show(folder: Folder, loaded: Loaded, config: BrowseConfig) -> int:
    """Build a folder's datasets and serve them until Ctrl-C; with --extract, write their pictures instead.

    Returns:
        The exit code.

    Raises:
        InputError: the port is taken, or there is no database.
    """
    from dashboards.app.server import FIRST_PORT, LAST_PORT, serve

    name = _dataset_name(folder.url)
    listener = None if config.extract else bind_port(config.port or None, first=FIRST_PORT, last=LAST_PORT)
    database = _start_fiftyone()
    say(str(database))
    from dashboards.views.building import build

    shown = build(name, loaded, config)
    for dataset, what in shown.datasets.items():
        say(f"  {dataset}: {what}")
    if listener:
        serve(listener, shown, path=f"/datasets/{next(iter(shown.datasets))}", say=say)
    say(f"pictures: {config.extract}; stock FiftyOne shows them while it is given the same database:")
    say(f"  {_environment(database)}fiftyone app launch {name}")
    return 0


def list_tagged(folder: Folder, config: BrowseConfig) -> int:
    """Write the tagged boxes of a folder's datasets as CSV; return the exit code.

    Raises:
        InputError: FiftyOne holds nothing of this folder, or nothing in it is tagged.
    """
    _start_fiftyone()
    from dashboards.views.tagged import tagged_boxes, to_csv

    rows = tagged_boxes(_datasets(folder))
    if not rows:
        raise InputError(f"{folder.url}: nothing in it is tagged; tag samples or boxes in FiftyOne first")
    write_file(config.tagged, to_csv(rows))
    say(f"{len(rows):,} tagged boxes and photos: {config.tagged}")
    deny = command_line("--deny", config.tagged)
    say(f"for a dataset without them: give {deny} to shard_openimages.py, with another --out; of pairs")
    say("of your own, leave these out")
    return 0


def forget(folder: Folder) -> int:
    """Remove a folder's datasets from FiftyOne; return the exit code.

    Raises:
        InputError: it holds none.
    """
    _start_fiftyone()
    from dashboards.app.named import forget as forget_named

    names = [dataset.name for dataset in _datasets(folder)]
    for name in names:
        forget_named(name)
    say(f"forgotten: {', '.join(names)}")
    return 0


def _start_fiftyone() -> Database:
    """Open the database that FiftyOne is to use, before it is imported."""
    say("starting FiftyOne")
    return open_database()


def _environment(database: Database) -> str:
    """The setting by which another FiftyOne finds the same database once this process has ended."""
    return f"FIFTYONE_DATABASE_DIR={shlex.quote(str(database.folder))} " if database.folder else ""


def _datasets(folder: Folder) -> list[Any]:
    """Load what FiftyOne holds of a folder.

    Raises:
        InputError: nothing.
    """
    import fiftyone as fo

    from dashboards.app.named import names
    from dashboards.views.building import ENDINGS

    wanted = [_dataset_name(folder.url) + ending for ending in ENDINGS]
    found = [fo.load_dataset(name) for name in names() if name in wanted]
    if not found:
        look = command_line("python", "-m", "dashboards.browse", short_path(folder.url))
        raise InputError(f"{folder.url}: FiftyOne holds nothing of it; look at it first: {look}")
    return found


def _dataset_name(url: str) -> str:
    """Name a folder by its last two parts and a digest of its absolute URL, `demo-dataset-3fa2c1`."""
    parts = [part for part in url.split("://")[-1].split("/") if part][-_PARTS:]
    plain = _NOT_PLAIN.sub("-", "-".join(parts)).strip("-")[-_LONGEST:].strip("-") or "dataset"
    return f"{plain}-{hashlib.sha256(url.encode()).hexdigest()[:_DIGITS]}".lower()
