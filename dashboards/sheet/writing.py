"""Writing: a folder and flags -> its sheet, complete on disk, and what is said of it."""

from collections.abc import Sequence

from dashboards.conditions import parse_condition
from dashboards.config import BrowseConfig
from dashboards.console import progress
from dashboards.places import write_file
from dashboards.rows import choose_rows, open_rows
from pipeline.errors import InputError
from pipeline.storage.folder import Folder


def sheet_of_dataset(folder: Folder, config: BrowseConfig) -> int:
    """Write the sheet of a dataset; return the exit code."""
    conditions = [parse_condition(text) for text in config.where]
    dataset = open_rows(folder)
    # Pictures bring OpenCV and safetensors: what is refused above does without.
    from dashboards.origins import open_reader
    from dashboards.sheet.page import DEFAULT_SAMPLES, make_sheet

    with progress("indexes", "shards", len(dataset.shards)) as tick:
        limit = config.limit or DEFAULT_SAMPLES
        chosen = choose_rows(dataset, conditions, limit=limit, progress=tick)
    reader = open_reader(dataset, config)
    with progress("pictures", "samples", len(chosen.table)) as tick:
        sheet = make_sheet(dataset, chosen, reader, where=config.where, progress=tick)
    write_file(config.sheet, sheet.html)
    matched = f"{chosen.matched:,} that match, of " if conditions else ""
    print(f"{sheet.shown:,} of {matched}{dataset.samples:,} samples, {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"{sheet.failed:,} of them cannot be shown: their shards are gone or damaged; their cards say which")
    for line in chosen.missing:
        print(f"left out: {line}")
    more = f"; --limit {min(4 * sheet.shown, chosen.matched)} shows more" if chosen.cut else ""
    print(f"sheet: {config.sheet}  (open it in a browser{more})")
    return 0


def sheet_of_trainings(folders: Sequence[Folder], config: BrowseConfig) -> int:
    """Write the sheet of one training or several; return the exit code.

    Raises:
        InputError: one has not ended its first step, or a file of it is damaged.
    """
    from dashboards.loading import read_all
    from dashboards.sheet.run_cards import DEFAULT_SAMPLES
    from dashboards.sheet.run_page import make_runs_sheet

    trainings = [read_all(folder, config) for folder in folders]
    with progress("trainings", "trainings", len(trainings)) as tick:
        limit = config.limit or DEFAULT_SAMPLES
        sheet = make_runs_sheet(trainings, limit=limit, progress=tick)
    write_file(config.sheet, sheet.html)
    what = f"{len(trainings):,} trainings" if len(trainings) > 1 else "1 training"
    print(f"{what}; sample grids and validation samples: {sheet.shown:,}; {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"pictures that cannot be shown: {sheet.failed:,}; the page says why at their place")
    for loaded in trainings:
        for note in loaded.notes:
            print(f"{loaded.run.name}: {note}")
    print(f"sheet: {config.sheet}  (open it in a browser)")
    return 0


def sheet_of_edits(folder: Folder, config: BrowseConfig) -> int:
    """Write the sheet of a folder of edits; return the exit code.

    Raises:
        InputError: there are none in it.
    """
    from dashboards.edits import read_edits
    from dashboards.sheet.edits_page import DEFAULT_EDITS, make_edits_sheet

    edits = read_edits(folder.url)
    if config.where:
        raise InputError("--where: chooses samples of a dataset; leave it out for a folder of edits")
    with progress("edits", "edits", len(edits.edits)) as tick:
        limit = config.limit or DEFAULT_EDITS
        sheet = make_edits_sheet(edits, limit=limit, progress=tick)
    write_file(config.sheet, sheet.html)
    print(f"{sheet.shown:,} of {len(edits.edits):,} edits, {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"pictures that cannot be shown: {sheet.failed:,}; the page says why at their place")
    for line in edits.notes:
        print(f"left out: {line}")
    print(f"sheet: {config.sheet}  (open it in a browser)")
    return 0
