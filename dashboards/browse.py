#!/usr/bin/env python3
"""Browse: a dataset, a training, or a folder of edits -> something to look at.

    python dashboards/browse.py DATASET|RUN                                  # in FiftyOne, until Ctrl-C
    python dashboards/browse.py DATASET|RUN --sheet page.html
    python dashboards/browse.py RUN --sheet losses.html --beside OTHER_RUN
    python dashboards/browse.py DATASET --sheet small.html --where "mask_share<0.1" --where split=train
    python dashboards/browse.py DATASET --tagged bad.csv

The sheet is one file with all pictures inside: any browser opens it, also without network.
"""

import sys
from dataclasses import replace

import tyro

from dashboards.config import BrowseConfig
from dashboards.kinds import Kind, find_kind
from dashboards.places import refuse_bad_place
from pipeline.command import guard, stop_on_sigterm
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute


def main(arguments: list[str]) -> int:
    """Look as the command line says; return the exit code."""
    return guard(lambda: _browse(arguments), go_on="run the same command again")


def _browse(arguments: list[str]) -> int:
    config = tyro.cli(BrowseConfig, args=arguments, prog="python dashboards/browse.py")
    config = replace(config, dataset=absolute(config.dataset))
    folder = Folder(config.dataset, config.anonymous)
    if config.forget or config.tagged:
        return _ask_fiftyone(folder, config)
    kind = find_kind(folder)
    if config.sheet:
        refuse_bad_place("--sheet", config.sheet)
        return _write_sheet(kind, folder, config)
    return _show(kind, folder, config)


# Each imports what only it needs: FiftyOne takes four seconds, pictures half a second.


def _write_sheet(kind: Kind, folder: Folder, config: BrowseConfig) -> int:
    from dashboards.sheet.writing import sheet_of_dataset, sheet_of_edits, sheet_of_training

    if kind is Kind.DATASET:
        return sheet_of_dataset(folder, config)
    if kind is Kind.TRAINING:
        return sheet_of_training(config)
    return sheet_of_edits(config)


def _show(kind: Kind, folder: Folder, config: BrowseConfig) -> int:
    from dashboards.views.session import refuse_no_fiftyone, show

    refuse_no_fiftyone()
    from dashboards.loading import load_dataset, load_edits, load_training

    if kind is Kind.DATASET:
        return show(folder, load_dataset(folder, config), config)
    if kind is Kind.TRAINING:
        return show(folder, load_training(folder, config), config)
    return show(folder, load_edits(folder), config)


def _ask_fiftyone(folder: Folder, config: BrowseConfig) -> int:
    from dashboards.views.session import forget, list_tagged, refuse_no_fiftyone

    if config.tagged:
        refuse_bad_place("--tagged", config.tagged)
    refuse_no_fiftyone()
    return forget(folder) if config.forget else list_tagged(folder, config)


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main(sys.argv[1:]))
