#!/usr/bin/env python3
"""Browse: a dataset, or a folder of edits -> something to look at.

    python dashboards/browse.py DATASET --sheet page.html
    python dashboards/browse.py DATASET --sheet small.html --where "mask_share<0.1" --where split=train

The sheet is one file with all pictures inside: any browser opens it, also without network.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import tyro
from tqdm import tqdm

from dashboards.conditions import parse_condition
from dashboards.config import BrowseConfig
from dashboards.rows import choose_rows, is_dataset, open_rows
from pipeline.command import guard, stop_on_sigterm
from pipeline.errors import InputError
from pipeline.shards.manifest import RECIPE
from pipeline.storage.folder import Folder
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import absolute, filesystem, is_local
from pipeline.storage.whole_files import write_aside
from pipeline.storage.writable import refuse_unwritable
from schemas.shards import MANIFEST


def main(arguments: list[str]) -> int:
    """Look as the command line says; return the exit code."""
    return guard(lambda: _browse(arguments), go_on="run the same command again")


def _browse(arguments: list[str]) -> int:
    config = tyro.cli(BrowseConfig, args=arguments, prog="python dashboards/browse.py")
    config = replace(config, dataset=absolute(config.dataset))
    if not config.sheet:
        raise InputError(f"browse {config.dataset}: give --sheet page.html")
    refuse_bad_place(config.sheet)
    folder = Folder(config.dataset, config.anonymous)
    refuse_no_folder(folder)
    if is_dataset(folder) or folder.read_if_there(RECIPE) is not None:
        return sheet_of_dataset(folder, config)
    return sheet_of_edits(config)


def sheet_of_dataset(folder: Folder, config: BrowseConfig) -> int:
    """Write the sheet of a dataset; return the exit code."""
    conditions = [parse_condition(text) for text in config.where]
    dataset = open_rows(folder)
    # Pictures bring OpenCV and safetensors: what is refused above does without.
    from dashboards.origins import open_reader
    from dashboards.sheet.page import DEFAULT_SAMPLES, make_sheet

    with tqdm(desc="indexes", total=len(dataset.shards), unit=" shards", leave=False, delay=1) as bar:
        limit = config.limit or DEFAULT_SAMPLES
        chosen = choose_rows(dataset, conditions, limit=limit, progress=lambda read: bar.update(read - bar.n))
    reader = open_reader(dataset, config)
    with tqdm(desc="pictures", total=len(chosen.table), unit=" samples", leave=False, delay=1) as bar:
        sheet = make_sheet(dataset, chosen, reader, where=config.where, progress=lambda made: bar.update(made - bar.n))
    write_page(config.sheet, sheet.html)
    matched = f"{chosen.matched:,} that match, of " if conditions else ""
    print(f"{sheet.shown:,} of {matched}{dataset.samples:,} samples, {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"{sheet.failed:,} of them cannot be shown: their shards are gone or damaged; their cards say which")
    for line in chosen.missing:
        print(f"left out: {line}")
    more = f"; --limit {min(4 * sheet.shown, chosen.matched)} shows more" if sheet.shown < chosen.matched else ""
    print(f"sheet: {config.sheet}  (open it in a browser{more})")
    return 0


def sheet_of_edits(config: BrowseConfig) -> int:
    """Write the sheet of a folder of edits; return the exit code.

    Raises:
        InputError: there are none in it.
    """
    from dashboards.edits import read_edits
    from dashboards.sheet.edits_page import DEFAULT_EDITS, make_edits_sheet

    try:
        edits = read_edits(config.dataset)
    except InputError as error:
        raise InputError(
            f"{config.dataset}: nothing to look at; give the folder of a dataset (with {MANIFEST} or {RECIPE} in it), "
            "or one that `python -m pbe.edit --out` wrote"
        ) from error
    if config.where:
        raise InputError("--where: chooses samples of a dataset; leave it out for a folder of edits")
    with tqdm(desc="edits", total=len(edits.edits), unit=" edits", leave=False, delay=1) as bar:
        limit = config.limit or DEFAULT_EDITS
        sheet = make_edits_sheet(edits, limit=limit, progress=lambda made: bar.update(made - bar.n))
    write_page(config.sheet, sheet.html)
    print(f"{sheet.shown:,} of {len(edits.edits):,} edits, {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"{sheet.failed:,} pictures cannot be shown; the page says why at their place")
    for line in edits.notes:
        print(f"left out: {line}")
    print(f"sheet: {config.sheet}  (open it in a browser)")
    return 0


def refuse_no_folder(folder: Folder) -> None:
    """Refuse a local path that is no folder.

    Raises:
        InputError: saying what it is.
    """
    if folder.local and not Path(folder.path("")).is_dir():
        what = "is a file" if Path(folder.url).exists() else "no such folder"
        raise InputError(f"{folder.url}: {what}; give the folder of a dataset")


def refuse_bad_place(page: str) -> None:
    """Refuse a local place where the page cannot be written, before any work is done.

    Raises:
        InputError: naming what is in the way.
    """
    if not is_local(page):
        return
    path = Path(absolute(page))
    if path.is_dir():
        raise InputError(f"--sheet {page}: is a folder; give the name of a page, such as {page.rstrip('/')}/page.html")
    if not path.parent.exists():
        raise InputError(f"--sheet {page}: there is no folder {path.parent}; make it, or give another place")
    refuse_unwritable(f"--sheet {page}", path.parent)


def write_page(page: str, html: bytes) -> None:
    """Write the page, complete or not at all."""
    if is_local(page):
        write_aside(Path(absolute(page)), html, writer=str(os.getpid()))
    else:
        fs, path = filesystem(page)
        with_retries(lambda: fs.pipe_file(path, html))


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main(sys.argv[1:]))
