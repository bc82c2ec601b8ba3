#!/usr/bin/env python3
"""Browse: a dataset, trainings, an evaluation, or a folder of edits -> something to look at.

    python dashboards/browse.py DATASET|RUN                                  # in FiftyOne, until Ctrl-C
    python dashboards/browse.py DATASET|RUN --sheet page.html
    python dashboards/browse.py DATASET --sheet small.html --where "mask_share<0.1" --where split=train
    python dashboards/browse.py RUN OTHER --sheet runs.html                  # trainings, compared
    python dashboards/browse.py DATASET --tagged bad.csv

The sheet is one file with all pictures inside: any browser opens it, also without network.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import tyro

from dashboards.config import BrowseConfig
from dashboards.kinds import Kind, find_kind
from dashboards.places import refuse_bad_folder, refuse_bad_place
from pipeline.command import guard, stop_on_sigterm
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute
from schemas.scores import REPORT


def main(arguments: list[str]) -> int:
    """Look as the command line says; return the exit code."""
    return guard(lambda: _browse(arguments), go_on="run the same command again")


def _browse(arguments: list[str]) -> int:
    config = tyro.cli(BrowseConfig, args=arguments, prog="python dashboards/browse.py")
    config = replace(config, paths=tuple(dict.fromkeys(absolute(path) for path in config.paths)))
    folders = [Folder(path, config.anonymous) for path in config.paths]
    if config.forget or config.tagged:
        return _ask_fiftyone(folders[0], config)
    kinds = [find_kind(folder) for folder in folders]
    if config.sheet:
        refuse_bad_place("--sheet", config.sheet)
        return _write_sheet(kinds, folders, config)
    if config.extract:
        refuse_bad_folder("--extract", config.extract)
    return _show(kinds[0], folders[0], config)


# Each imports what only it needs: FiftyOne takes four seconds, pictures half a second.


def _write_sheet(kinds: Sequence[Kind], folders: Sequence[Folder], config: BrowseConfig) -> int:
    if len(folders) > 1 and set(kinds) != {Kind.TRAINING}:
        given = ", ".join(f"{folder.url} ({kind.value})" for folder, kind in zip(folders, kinds, strict=True))
        raise InputError(f"{given}: several go into one page only where all are trainings; give one folder")
    if kinds[0] is Kind.COMPARISON:
        page = f"{folders[0].url}/{REPORT}"
        raise InputError(f"--sheet: {folders[0].url} has a page of its own: open {page}, or leave --sheet out")
    from dashboards.sheet.writing import sheet_of_dataset, sheet_of_edits, sheet_of_trainings

    if kinds[0] is Kind.TRAINING:
        return sheet_of_trainings(folders, config)
    return sheet_of_dataset(folders[0], config) if kinds[0] is Kind.DATASET else sheet_of_edits(folders[0], config)


def _show(kind: Kind, folder: Folder, config: BrowseConfig) -> int:
    from dashboards.views.session import refuse_no_fiftyone, show

    refuse_no_fiftyone()
    from dashboards.loading import load_comparison, load_dataset, load_edits, load_training

    if kind is Kind.COMPARISON:
        return show(folder, load_comparison(folder, config), config)
    if kind is Kind.DATASET:
        return show(folder, load_dataset(folder, config), config)
    if kind is Kind.TRAINING:
        return show(folder, load_training(folder, config), config)
    return show(folder, load_edits(folder, config), config)


def _ask_fiftyone(folder: Folder, config: BrowseConfig) -> int:
    from dashboards.views.session import forget, list_tagged, refuse_no_fiftyone

    if config.tagged:
        refuse_bad_place("--tagged", config.tagged, example="tagged.csv")
    refuse_no_fiftyone()
    return forget(folder) if config.forget else list_tagged(folder, config)


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main(sys.argv[1:]))
