"""Building: what was loaded -> FiftyOne datasets, by one name and its endings."""

from pathlib import Path

from dashboards.comparison import Comparison
from dashboards.config import BrowseConfig
from dashboards.console import progress, say
from dashboards.edits import Edits
from dashboards.loading import Loaded, LoadedDataset, LoadedFates, LoadedSamples, LoadedTraining
from dashboards.pictures import ORIGINS, SampleError
from dashboards.views.compared import build_compared
from dashboards.views.compared_media import ComparedMedia
from dashboards.views.dropped import build_dropped
from dashboards.views.edit_media import EditMedia
from dashboards.views.edited import build_edited
from dashboards.views.photo_media import PhotoMedia, photo_name
from dashboards.views.sample_media import SampleMedia, media_name
from dashboards.views.samples import Place, build_samples
from dashboards.views.shown import Shown
from dashboards.views.similar import add_similarity, read_vectors
from dashboards.views.training import GridMedia, build_grids, save_worst_views
from pipeline.storage.urls import absolute_output

DROPPED, VALIDATION, GRIDS = "-dropped", "-validation", "-grids"
ENDINGS = ("", DROPPED, VALIDATION, GRIDS)
SHOWN_FAULTS = 5


def build(name: str, loaded: Loaded, config: BrowseConfig) -> Shown:
    """Write the FiftyOne datasets of what was loaded, anew; tags stay.

    Args:
        name: of the first of them; the others' begin with it.
    """
    shown = Shown()
    if isinstance(loaded, LoadedDataset):
        _build_samples(name, loaded.samples, config, shown)
        if loaded.dropped:
            _build_dropped(name + DROPPED, loaded.dropped, shown)
    elif isinstance(loaded, LoadedTraining):
        _build_training(name, loaded, shown)
    elif isinstance(loaded, Comparison):
        media = ComparedMedia(name, loaded)
        build_compared(name, loaded, media)
        order = f", the worst first: {loaded.order}" if loaded.order else ""
        shown.add(name, media, f"{len(loaded.cases):,} cases, {len(loaded.rows):,} rows beside their inputs{order}")
    else:
        _build_edits(name, loaded, shown)
    return shown


def _build_samples(name: str, samples: LoadedSamples, config: BrowseConfig, shown: Shown) -> None:
    recipe = samples.dataset.recipe
    media = _open_media(name, samples)
    place = _extract(media, Path(absolute_output("--extract", config.extract))) if config.extract else _served(name)
    built = build_samples(name, samples.table, resolution=recipe["resolution"], place=place)
    shown.add(name, media, f"{len(samples.table):,} samples, four pictures each")
    if not config.similar:
        return
    with progress("vectors", "samples") as tick:
        places, vectors, faults = read_vectors(samples.dataset.folder, samples.table, progress=tick)
    for fault in faults[:SHOWN_FAULTS]:
        say(f"no vector: {fault}")
    keys = samples.table["key"].take(places).to_pylist()
    alike = add_similarity(built, keys, vectors, kind=config.map)
    say(f"{alike:,} samples have a near-duplicate exemplar; the map of the exemplars is by {config.map}")


def _open_media(name: str, samples: LoadedSamples) -> SampleMedia:
    """Open the pictures of samples, and make the first: what this imports takes seconds, and a page would wait."""
    media = SampleMedia(name, samples.table, samples.reader, factor=samples.dataset.recipe["vae"]["factor"])
    try:
        first = samples.reader.read(samples.table.slice(0, 1).to_pylist()[0])
        say(f"pictures: {ORIGINS[first.origin]}{f' ({first.note})' if first.note else ''}")
    except SampleError as error:
        say(f"the first sample cannot be shown: {error}")
    return media


def _served(name: str) -> Place:
    return lambda kind, key: media_name(name, kind, key)


def _extract(media: SampleMedia, root: Path) -> Place:
    """Write the pictures of samples below a folder; returns where each lies."""
    with progress("pictures", "samples") as tick:
        for count, (key, fault) in enumerate(media.extract(root), start=1):
            tick(count)
            if fault:
                say(f"{key}: {fault}")
    return lambda kind, key: str(root / media_name("", kind, key).lstrip("/"))


def _build_dropped(name: str, dropped: LoadedFates, shown: Shown) -> None:
    fates = dropped.fates
    media = PhotoMedia(name, fates.photos, dropped.photos, dropped.rotations)
    build_dropped(
        name,
        fates,
        measure=media.measure,
        names=dropped.class_names,
        place=lambda number: photo_name(name, number),
    )
    shown.add(name, media, f"{len(fates.photos):,} photos, {fates.counts.total():,} boxes by what became of them")


def _build_training(name: str, training: LoadedTraining, shown: Shown) -> None:
    run, validation = training.run, training.validation
    if validation:
        own, resolution = name + VALIDATION, validation.dataset.recipe["resolution"]
        media = _open_media(own, validation)
        built = build_samples(own, validation.table, resolution=resolution, place=_served(own), more=training.losses)
        save_worst_views(built, training.step)
        what = f"{len(validation.table):,} validation samples, the worst of step {training.step:,} first"
        shown.add(own, media, what)
    if run.grids:
        grids = GridMedia(name + GRIDS, run)
        build_grids(name + GRIDS, run, grids)
        shown.add(name + GRIDS, grids, f"{len(run.grids):,} sample grids by step")


def _build_edits(name: str, edits: Edits, shown: Shown) -> None:
    media = EditMedia(name, edits.edits)
    build_edited(name, edits, media)
    pictures = sum(len(edit.pictures) for edit in edits.edits)
    shown.add(name, media, f"{len(edits.edits):,} cases, {pictures:,} edited pictures beside their inputs")
