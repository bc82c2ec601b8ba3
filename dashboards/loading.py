"""Loading: flags and a folder -> all that is to be shown of it, read and checked before FiftyOne is started."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dashboards.box_rows import read_box_rows, read_rotations
from dashboards.comparison import Comparison, read_comparison
from dashboards.conditions import parse_condition
from dashboards.config import MOST_TSNE, BrowseConfig
from dashboards.console import progress, say
from dashboards.edits import Edits, read_edits
from dashboards.fates import Fates, differences, find_fates
from dashboards.origins import open_reader
from dashboards.pictures import PictureReader
from dashboards.rows import OpenedDataset, choose_rows, open_rows
from dashboards.training_run import TrainingRun, losses_by_key, read_training
from pbe.feed.contents import read_contents
from pipeline.errors import InputError
from pipeline.pictures.cut_sources import Photos
from pipeline.recorded_inputs import Inputs, find_inputs
from pipeline.shards.recipe import Json, share_jittered
from pipeline.storage.folder import Folder
from pipeline.storage.redaction import redact

DEFAULT_SAMPLES = DEFAULT_PHOTOS = 2000


@dataclass(frozen=True)
class LoadedSamples:
    """Samples to show: INDEX and QUALITY, and where their pictures come from."""

    dataset: OpenedDataset
    table: pa.Table
    reader: PictureReader


@dataclass(frozen=True)
class LoadedFates:
    """Photos with what became of their boxes.

    Args:
        rotations: of the image-info tables, of photos of which no sample says how they turn.
        class_names: label -> name.
    """

    fates: Fates
    photos: Photos
    rotations: dict[str, float]
    class_names: dict[str, str]


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset; `dropped` is None where its tables or photos are not there."""

    samples: LoadedSamples
    dropped: LoadedFates | None


@dataclass(frozen=True)
class LoadedTraining:
    """A training; its validation samples, the worst first, with their losses at a step, where there are any.

    Args:
        notes: why samples are missing, or may not be those of the training.
    """

    run: TrainingRun
    validation: LoadedSamples | None
    losses: dict[str, dict[str, Any]]
    step: int
    notes: tuple[str, ...] = ()


Loaded = LoadedDataset | LoadedTraining | Edits | Comparison


def load_dataset(folder: Folder, config: BrowseConfig) -> LoadedDataset:
    """Load samples and, where tables and photos are there, what became of all boxes.

    Raises:
        InputError: a flag is wrong, or the dataset cannot be read.
    """
    conditions = [parse_condition(text) for text in config.where]
    dataset = open_rows(folder)
    say(f"{folder.url}: {dataset.state}")
    with progress("indexes", "files") as tick:
        limit = config.limit or DEFAULT_SAMPLES
        chosen = choose_rows(dataset, conditions, limit=limit, progress=tick)
    for line in chosen.missing:
        say(f"left out: {line}")
    count = len(chosen.table)
    if not count:
        if conditions and not chosen.missing:
            raise InputError(f"{folder.url}: none of {dataset.samples:,} samples matches {' and '.join(config.where)}")
        raise InputError(f"{folder.url}: no sample to show; --sheet page.html shows what was dropped, and where")
    if config.similar and config.map == "tsne" and count > MOST_TSNE:
        raise InputError(f"--map tsne of {count:,} samples: at most {MOST_TSNE:,}; give --limit, or --map pca")
    cut = ", a seeded choice; --limit takes more" if chosen.cut else ""
    say(f"{count:,} of {chosen.matched:,} samples{' that match' if conditions else ''}{cut}")
    samples = LoadedSamples(dataset, chosen.table, open_reader(dataset, config))
    return LoadedDataset(samples, _load_fates(dataset, config) if config.dropped else None)


def load_training(folder: Folder, config: BrowseConfig) -> LoadedTraining:
    """Load a training's log and grids and, where its dataset is still there, its validation samples.

    Raises:
        InputError: there is nothing to show yet.
    """
    loaded = read_all(folder, config)
    run, validation = loaded.run, loaded.validation
    say(f"{folder.url}: step {run.rows[-1]['step'] if run.rows else 0:,}, newest checkpoint {run.checkpoint or 'none'}")
    for note in loaded.notes:
        say(note)
    if not run.grids and validation is None:
        raise InputError(
            f"{folder.url}: neither sample grids nor validation losses yet; see --grid-every and --eval-every of "
            "pbe/train.py"
        )
    if validation:
        table = validation.table.slice(0, config.limit or DEFAULT_SAMPLES).combine_chunks()
        loaded = replace(loaded, validation=replace(validation, table=table))
    return loaded


def read_all(folder: Folder, config: BrowseConfig) -> LoadedTraining:
    """Read a training's folder and, where its dataset is still there, the rows of all samples that have losses.

    Raises:
        InputError: it has not ended its first step, or a file of it is damaged.
    """
    run = read_training(folder.url)
    step, losses = losses_by_key(run) if run.tables else (0, {})
    if not losses:
        return LoadedTraining(run, None, losses, step)
    try:
        dataset = _open_data(run)
    except (InputError, OSError) as error:
        note = f"validation samples are not shown: their dataset cannot be read ({redact(str(error))})"
        return LoadedTraining(run, None, losses, step, (note,))
    validation, notes = _load_validation(dataset, losses, config)
    if dataset.manifest is not None and not _is_unchanged(dataset.folder, dataset.manifest, run.record):
        url = redact(dataset.folder.url)
        notes.append(
            f"the dataset {url} has changed since the training began: its samples may not be those of the losses"
        )
    return LoadedTraining(run, validation, losses, step, tuple(notes))


def load_edits(folder: Folder, config: BrowseConfig) -> Edits:
    """Load a folder of edits.

    Raises:
        InputError: there is no edit in it, or a flag is of samples.
    """
    _refuse_flags("edits", {"--where": config.where, "--extract": config.extract})
    edits = read_edits(folder.url)
    for line in edits.notes:
        say(f"left out: {line}")
    return edits


def load_comparison(folder: Folder, config: BrowseConfig) -> Comparison:
    """Load an evaluation.

    Raises:
        InputError: it has not ended, is damaged, or a flag is of samples.
    """
    _refuse_flags("an evaluation", {"--where": config.where, "--extract": config.extract})
    comparison = read_comparison(folder)
    for line in (*comparison.summary.banners, *comparison.notes):
        say(line)
    limit = config.limit or len(comparison.cases)
    if limit < len(comparison.cases):
        say(f"the worst {limit:,} of {len(comparison.cases):,} cases; --limit takes more")
    return replace(comparison, cases=comparison.cases[:limit])


def _open_data(run: TrainingRun) -> OpenedDataset:
    """Open the dataset of a training.

    Raises:
        InputError: it is gone, or its record does not name it.
        OSError: storage failed.
    """
    data = run.config.get("data")
    if not isinstance(data, str):
        raise InputError("its record does not name it")
    folder = Folder(data, bool(run.config.get("anonymous")))
    if folder.local and not Path(folder.path("")).is_dir():
        raise InputError(f"{data}: no such folder")
    return open_rows(folder)


def _is_unchanged(folder: Folder, manifest: Json, record: Mapping[str, Any]) -> bool:
    """Whether a dataset has the shards that a training began with, perhaps among more draws."""
    contents = read_contents(folder, manifest, draws=int(record.get("draws", 0)))
    return contents.has_digest(record.get("dataset_digest"))


def _refuse_flags(what: str, flags: Mapping[str, object]) -> None:
    for flag in (flag for flag, value in flags.items() if value):
        raise InputError(f"{flag}: is for samples of a dataset; leave it out for {what}")


def _load_validation(
    dataset: OpenedDataset, losses: dict[str, dict[str, Any]], config: BrowseConfig
) -> tuple[LoadedSamples | None, list[str]]:
    """Load the samples of which there are losses, in the order of these; and say how many are missing."""
    conditions = [parse_condition(text) for text in (*config.where, "split=validation", "draw=0")]
    with progress("indexes", "files") as tick:
        table = choose_rows(dataset, conditions, limit=0, progress=tick).table
    order = pc.index_in(table["key"], value_set=pa.array(losses, pa.string()))
    table = table.append_column("order", order).filter(pc.is_valid(order)).sort_by("order").drop_columns(["order"])
    missing = len(losses) - len(table)
    if not len(table):
        return None, ["validation samples are not shown: none of them is in the dataset any more, or matches --where"]
    notes = [f"{missing:,} of {len(losses):,} validation samples are not in the dataset any more"] if missing else []
    return LoadedSamples(dataset, table, open_reader(dataset, config)), [] if config.where else notes


def _load_fates(dataset: OpenedDataset, config: BrowseConfig) -> LoadedFates | None:
    """Load what became of all boxes; without flags, where the run's tables and photos are still there."""
    inputs = find_inputs(
        dataset.folder,
        boxes=config.boxes,
        images=config.images,
        image_info=config.image_info,
        classes=config.classes,
        anonymous=config.anonymous,
    )
    if not inputs.tables or inputs.store is None:
        why = f" ({'; '.join(inputs.absent)})" if inputs.absent else ""
        say(f"dropped boxes are not shown: their tables or photos are not known{why}; give --boxes and --images")
        return None
    try:
        fates = _find_fates(dataset, inputs, config)
        unknown = [photo.image_id for photo in fates.photos if photo.orientation is None]
        rotations = read_rotations(inputs.image_info, unknown, anonymous=config.anonymous) if unknown else {}
    except InputError as error:
        if config.boxes:
            raise
        say(f"dropped boxes are not shown: {error}")
        return None
    _report(fates, dataset)
    return LoadedFates(fates, Photos(inputs.store, dataset.recipe), rotations, inputs.class_names)


def _find_fates(dataset: OpenedDataset, inputs: Inputs, config: BrowseConfig) -> Fates:
    with progress("box rows", "rows") as tick:
        rows = read_box_rows(
            inputs.tables,
            inputs=dataset.recipe["inputs"],
            limit=config.limit or DEFAULT_PHOTOS,
            anonymous=config.anonymous,
            progress=tick,
        )
    with progress("drops and indexes", "files") as tick:
        return find_fates(dataset, rows, progress=tick)


def _report(fates: Fates, dataset: OpenedDataset) -> None:
    """Print the boxes by fate, and whether they are those of the manifest."""
    for fate, count in fates.counts.most_common():
        say(f"  {count:>12,}  {fate}")
    if fates.nameless:
        say(f"  {fates.nameless:>12,}  rows that belong to no photo, not shown")
    for line in fates.missing:
        say(f"left out: {line}")
    if share_jittered(dataset.recipe):
        say("these photos are shown as they are, without the jitter of the samples that were drawn from them")
    if not fates.everything:
        say(f"these are the boxes of {len(fates.photos):,} photos, a seeded choice; --limit takes more")
    elif dataset.manifest:
        off = differences(fates, dataset.manifest["totals"])
        say("the manifest counts the same" if not off else f"the manifest counts otherwise: {'; '.join(off)}")
