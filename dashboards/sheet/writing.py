"""Writing: a folder and flags -> its sheet, complete on disk, and what is said of it."""

from dataclasses import replace

from tqdm import tqdm

from dashboards.conditions import parse_condition
from dashboards.config import BrowseConfig
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

    with tqdm(desc="indexes", total=len(dataset.shards), unit=" shards", leave=False, delay=1) as bar:
        limit = config.limit or DEFAULT_SAMPLES
        chosen = choose_rows(dataset, conditions, limit=limit, progress=lambda read: bar.update(read - bar.n))
    reader = open_reader(dataset, config)
    with tqdm(desc="pictures", total=len(chosen.table), unit=" samples", leave=False, delay=1) as bar:
        sheet = make_sheet(dataset, chosen, reader, where=config.where, progress=lambda made: bar.update(made - bar.n))
    write_file(config.sheet, sheet.html)
    matched = f"{chosen.matched:,} that match, of " if conditions else ""
    print(f"{sheet.shown:,} of {matched}{dataset.samples:,} samples, {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"{sheet.failed:,} of them cannot be shown: their shards are gone or damaged; their cards say which")
    for line in chosen.missing:
        print(f"left out: {line}")
    more = f"; --limit {min(4 * sheet.shown, chosen.matched)} shows more" if sheet.shown < chosen.matched else ""
    print(f"sheet: {config.sheet}  (open it in a browser{more})")
    return 0


def sheet_of_training(config: BrowseConfig) -> int:
    """Write the sheet of a training; return the exit code.

    Raises:
        InputError: it has nothing to show yet, or is damaged; or so is one that is to stand beside it.
    """
    from dashboards.loading import load_validation
    from dashboards.sheet.training_page import DEFAULT_WORST, WorstSamples, make_training_sheet
    from dashboards.training_run import losses_by_key, read_training

    run, *others = [read_training(url) for url in (config.dataset, *config.beside)]
    step, losses = losses_by_key(run) if run.tables else (0, {})
    limited = replace(config, limit=config.limit or DEFAULT_WORST)
    samples = load_validation(run, losses, limited) if losses else None
    worst = WorstSamples(samples.table.to_pylist(), losses, step, samples.reader) if samples else None
    with tqdm(desc="pictures", total=len(worst.rows) if worst else 0, unit=" samples", leave=False, delay=1) as bar:
        sheet = make_training_sheet(run, worst, beside=others, progress=lambda made: bar.update(made - bar.n))
    write_file(config.sheet, sheet.html)
    shown = f", the worst {sheet.shown:,} validation samples of step {step:,}" if sheet.shown else ""
    print(f"{len(run.rows):,} steps, {len(run.grids):,} grids{shown}, {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"{sheet.failed:,} of them cannot be shown: their shards are gone or damaged; their cards say which")
    print(f"sheet: {config.sheet}  (open it in a browser)")
    return 0


def sheet_of_edits(config: BrowseConfig) -> int:
    """Write the sheet of a folder of edits; return the exit code.

    Raises:
        InputError: there are none in it.
    """
    from dashboards.edits import read_edits
    from dashboards.sheet.edits_page import DEFAULT_EDITS, make_edits_sheet

    edits = read_edits(config.dataset)
    if config.where:
        raise InputError("--where: chooses samples of a dataset; leave it out for a folder of edits")
    with tqdm(desc="edits", total=len(edits.edits), unit=" edits", leave=False, delay=1) as bar:
        limit = config.limit or DEFAULT_EDITS
        sheet = make_edits_sheet(edits, limit=limit, progress=lambda made: bar.update(made - bar.n))
    write_file(config.sheet, sheet.html)
    print(f"{sheet.shown:,} of {len(edits.edits):,} edits, {len(sheet.html) / 2**20:.1f} MiB")
    if sheet.failed:
        print(f"{sheet.failed:,} pictures cannot be shown; the page says why at their place")
    for line in edits.notes:
        print(f"left out: {line}")
    print(f"sheet: {config.sheet}  (open it in a browser)")
    return 0
