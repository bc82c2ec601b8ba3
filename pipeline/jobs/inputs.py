"""Inputs: a job's flags -> checked tables, photos and encoders; and what of them a plan depends on."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from pipeline.boxes.class_names import read_class_names
from pipeline.boxes.denied import DeniedBoxes, read_denied
from pipeline.boxes.filters import Rule, parse_filters
from pipeline.boxes.listing import list_tables, refuse_copies
from pipeline.boxes.tables import check_tables
from pipeline.config import SAMPLE_PHOTOS, ShardConfig
from pipeline.encoders.facts import read_clip_facts, read_vae_facts
from pipeline.encoders.names import absolute_name
from pipeline.errors import InputError, PhotoError
from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.photos.store import PROBED_PHOTOS, PhotoStore
from pipeline.planning.plan_files import read_unit_boxes, read_units
from pipeline.planning.tasks import PlannedPhoto, group_photos
from pipeline.storage.folder import Folder
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import absolute, filesystem


@dataclass(frozen=True)
class CheckedInputs:
    """Inputs that have been looked at: tables that begin well, photos and encoders that are there."""

    config: ShardConfig  # all paths absolute
    rules: tuple[Rule, ...]
    denied: DeniedBoxes | None
    tables: list[str]
    image_info: list[str]
    class_names: dict[str, str]
    store: PhotoStore

    @property
    def rule_specs(self) -> list[str]:
        """All rules that drop boxes, in order, as a recipe holds them."""
        return [*(rule.spec for rule in self.rules), *([self.denied.spec] if self.denied else [])]

    @property
    def work_paths(self) -> list[str]:
        """What units are made from, wherever they are made."""
        models = [name for name in (self.config.vae, self.config.clip) if Path(name).is_absolute()]
        return [*(folder.url for folder in self.store.folders), *self.store.archives, *models]


def check_inputs(config: ShardConfig, *, store: PhotoStore | None = None) -> CheckedInputs:
    """Check a job's flags, encoders, tables and photo folders. Takes a second, and writes nothing.

    Args:
        config: with inputs of its own; see `lay_out_sample_photos`.
        store: where photos are; None: where `config.images` says.

    Raises:
        InputError: naming the flag, the value, and what to give instead.
    """
    rules = tuple(parse_filters(config.filters))
    check_encoders(config)
    if not config.images:
        raise InputError("--images: give the folder, or the tar files, that hold the photos of --boxes")
    config = _with_absolute_paths(config)
    tables = list_tables("--boxes", config.boxes, anonymous=config.anonymous)
    check_tables(tables, anonymous=config.anonymous)
    refuse_copies("--boxes", tables, anonymous=config.anonymous)
    image_info = list_tables("--image-info", config.image_info, anonymous=config.anonymous)
    refuse_copies("--image-info", image_info, anonymous=config.anonymous)
    return CheckedInputs(
        config=config,
        rules=rules,
        denied=read_denied(config.deny) if config.deny else None,
        tables=tables,
        image_info=image_info,
        class_names=read_class_names(config.classes, anonymous=config.anonymous) if config.classes else {},
        store=store or PhotoStore(config.images, anonymous=config.anonymous),
    )


def check_encoders(config: ShardConfig) -> None:
    """Check that the encoders are there, and that the VAE fits the resolution.

    Raises:
        InputError: naming the flag.
    """
    factor = read_vae_facts(config.vae).factor
    read_clip_facts(config.clip)
    if config.resolution % factor:
        raise InputError(f"--resolution {config.resolution}: must be a multiple of the VAE's factor {factor}")


def wants_sample_photos(config: ShardConfig) -> bool:
    """Whether the job's input is the sample photos, which have to be laid out first."""
    return config.boxes == (SAMPLE_PHOTOS,)


def lay_out_sample_photos(config: ShardConfig, out: Folder) -> ShardConfig:
    """Write the sample photos into the output, and name them as the job's inputs."""
    root = write_openimages_folder(out).url.rstrip("/")
    return replace(
        config,
        boxes=(f"{root}/train-annotations-bbox.csv",),
        images=config.images or (f"{root}/train",),
        image_info=(f"{root}/train-images-boxable-with-rotation.csv",),
        classes=f"{root}/class-descriptions-boxable.csv",
    )


def _with_absolute_paths(config: ShardConfig) -> ShardConfig:
    return replace(
        config,
        boxes=tuple(map(absolute, config.boxes)),
        images=tuple(map(absolute, config.images)),
        image_info=tuple(map(absolute, config.image_info)),
        classes=absolute(config.classes) if config.classes else "",
        deny=absolute(config.deny) if config.deny else "",
        vae=absolute_name(config.vae),
        clip=absolute_name(config.clip),
    )


def stamp(url: str, anonymous: bool) -> str:
    """Return a digest of a file's size, time and tag: it tells versions apart without reading them."""
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
    for unit in read_units(out).slice(0, PROBED_PHOTOS).to_pylist():  # each has a photo at least
        yield from group_photos(read_unit_boxes(out, file=unit["file"], row_group=unit["row_group"]))
