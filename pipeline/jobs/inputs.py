"""Inputs: a job's flags -> inputs that have been looked at."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from pipeline.boxes.class_names import read_class_names
from pipeline.boxes.filters import Rule, parse_filters
from pipeline.boxes.tables import check_tables, list_tables
from pipeline.config import SAMPLE_PHOTOS, ShardConfig
from pipeline.errors import InputError, PhotoError
from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.photos.store import PROBED_PHOTOS, PhotoStore
from pipeline.planning.plan_files import read_unit_boxes, read_units
from pipeline.planning.tasks import PlannedPhoto, group_photos
from pipeline.storage.folder import Folder
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import absolute, filesystem
from schemas.shards import RECORD_NAME


@dataclass(frozen=True)
class Inputs:
    """Inputs that have been looked at: tables that begin well, photos that are there."""

    config: ShardConfig  # all paths absolute
    out: Folder
    rules: tuple[Rule, ...]
    tables: list[str]
    image_info: list[str]
    class_names: dict[str, str]
    store: PhotoStore
    finished: frozenset[str]  # names of the records of finished units and draws

    @property
    def work_paths(self) -> list[str]:
        """What units are made from, wherever they are made."""
        models = [name for name in (self.config.vae, self.config.clip) if Path(name).is_dir()]
        return [*(folder.url for folder in self.store.folders), *self.store.archives, *models]


def check_inputs(
    config: ShardConfig, *, guard: Callable[[], None] = lambda: None, store: PhotoStore | None = None
) -> Inputs:
    """Check a job's flags, tables and photo folders, and list what is finished.

    Takes seconds, writes nothing but the sample photos, and clears away what a killed job left half written.

    Args:
        guard: called before each change of the output; may raise to forbid it.
        store: where photos are; None: where `config.images` says.

    Raises:
        InputError: anything is wrong that its user can mend.
    """
    out = Folder(absolute(config.out), guard=guard)
    clear_leftovers(out)
    config = _resolve_inputs(config, out)
    tables = list_tables(config.boxes, anonymous=config.anonymous)
    check_tables(tables, anonymous=config.anonymous)
    return Inputs(
        config=config,
        out=out,
        rules=tuple(parse_filters(config.filters)),
        tables=tables,
        image_info=list_tables(config.image_info, anonymous=config.anonymous),
        class_names=read_class_names(config.classes, anonymous=config.anonymous) if config.classes else {},
        store=store or PhotoStore(config.images, anonymous=config.anonymous),
        finished=frozenset(name for name in out.names("units") if RECORD_NAME.fullmatch(name)),
    )


def clear_leftovers(out: Folder) -> None:
    """Remove what is half written; only for a job that holds the output."""
    if out.local:
        out.remove("run/tmp")
        return
    with suppress(PermissionError):  # credentials that may write but not list uploads; buckets have rules for these
        out.abort_uploads()


def _resolve_inputs(config: ShardConfig, out: Folder) -> ShardConfig:
    """Make all paths absolute; lay out the sample photos where they are asked for."""
    if config.boxes == (SAMPLE_PHOTOS,):
        folder = write_openimages_folder(out)
        root = folder.url.rstrip("/")
        config = replace(
            config,
            boxes=(f"{root}/train-annotations-bbox.csv",),
            images=config.images or (f"{root}/train",),
            image_info=(f"{root}/train-images-boxable-with-rotation.csv",),
            classes=f"{root}/class-descriptions-boxable.csv",
        )
    if not config.images:
        raise InputError("--images: give the folder, or the tar files, that hold the photos of --boxes")
    return replace(
        config,
        boxes=tuple(map(absolute, config.boxes)),
        images=tuple(map(absolute, config.images)),
        image_info=tuple(map(absolute, config.image_info)),
        classes=absolute(config.classes) if config.classes else "",
        vae=absolute(config.vae) if Path(config.vae).exists() else config.vae,
        clip=absolute(config.clip) if Path(config.clip).exists() else config.clip,
    )


def stamp(url: str, anonymous: bool) -> str:
    """Tell one version of a file from another without reading it."""
    fs, path = filesystem(url, anonymous=anonymous)
    try:
        info = with_retries(lambda: fs.info(path))
    except OSError as error:
        raise InputError(f"{url}: cannot be read ({error}); check the address and the credentials") from error
    facts = [info.get(name) for name in ("size", "mtime", "LastModified", "ETag", "etag")]
    return hashlib.sha256(json.dumps([url, *facts], default=str).encode()).hexdigest()


def probe_photos(store: PhotoStore, out: Folder, config: ShardConfig) -> None:
    """Refuse photo folders that hold none of the first photos planned.

    Raises:
        InputError: none of them is there.
    """
    tried: list[str] = []
    for photo in islice(_planned_photos(out), PROBED_PHOTOS):
        tried.append(photo.image_id)
        try:
            store.fetch(photo.image_id, archive=photo.archive, offset=photo.archive_offset, size=photo.archive_size)
            return
        except PhotoError as error:
            if error.reason != "missing":
                return
        except OSError as error:
            raise InputError(
                f"--images {' '.join(config.images)}: {photo.image_id} cannot be read ({error}); check the address and "
                "the credentials (--anonymous for public buckets)"
            ) from error
    raise InputError(
        f"--images {' '.join(config.images)}: none of the first {len(tried)} planned photos is there "
        f"(first: {tried[0]}.jpg); give the folder that holds the photos of these boxes"
    )


def _planned_photos(out: Folder) -> Iterator[PlannedPhoto]:
    for unit in read_units(out).to_pylist():
        yield from group_photos(read_unit_boxes(out, file=unit["file"], row_group=unit["row_group"]))
