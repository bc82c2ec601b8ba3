"""Job: a config -> checked inputs, recipe and plan, before any unit is made. All that a shard job does outside Ray."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.boxes.filters import Rule, parse_filters
from pipeline.boxes.tables import check_tables, list_tables
from pipeline.config import SAMPLE_PHOTOS, UNTRAINED, ShardConfig
from pipeline.encoders.vae import ExemplarEncoder, SourceEncoder, load_clip, load_vae, make_deterministic
from pipeline.errors import InputError, PhotoError
from pipeline.photos.decode import PROBED_PHOTOS, PhotoStore
from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.planning.plan import PLAN, Plan, PlanInputs, make_plan, read_unit_boxes, read_units
from pipeline.shards.manifest import RECIPE, digest_of, make_recipe, recipe_differences
from pipeline.storage.folder import Folder, absolute, filesystem, read_bytes, with_retries
from pipeline.units.writer import PlannedPhoto, UnitTask, group_photos
from schemas.shards import CARD, FUNNEL, MANIFEST, OVERVIEW, RECORD_NAME, SHARDS_TABLE, unit_name

# What a job writes; --overwrite removes these, in this order, and nothing else: a job killed meanwhile finds either
# the old recipe or no records.
OUTPUTS = (f"{PLAN}/key", MANIFEST, SHARDS_TABLE, CARD, OVERVIEW, FUNNEL, "units", "shards", "index", "drops", RECIPE)
UNITS_OUTPUTS = ("shards", "index", "drops/units")


@dataclass(frozen=True)
class Prepared:
    """A checked job: `config` with all paths absolute, and what it decides."""

    config: ShardConfig
    out: Folder
    store: PhotoStore
    class_names: dict[str, str]
    device: str
    recipe: dict[str, Any]
    plan: Plan
    names: dict[str, str]  # of the encoders
    finished: frozenset[str]  # names of the records of finished units and draws

    @property
    def recipe_digest(self) -> str:
        return digest_of(self.recipe)


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


def prepare(
    checked: Inputs,
    *,
    device: str,
    say: Callable[[str], None],
    progress: Callable[[int], None],
    encoders: tuple[SourceEncoder, ExemplarEncoder] | None = None,
) -> Prepared:
    """Compute a job's recipe, and plan it, or take up the plan of an earlier run.

    Args:
        device: cpu or cuda, for the encoders.
        say: told one line a step.
        progress: told how many box rows have been read so far.
        encoders: what the units will be made with, where these are not the ones that the config names.

    Raises:
        InputError: anything is wrong that its user can mend; no unit has been begun then.
    """
    config, out, rules = checked.config, checked.out, checked.rules
    if encoders is None:
        say("loading the encoders")
    sources, exemplars = encoders or load_encoders(config, "cpu")
    if config.resolution % sources.factor:
        raise InputError(f"--resolution {config.resolution}: must be a multiple of the VAE's factor {sources.factor}")
    recipe = make_recipe(
        config,
        device=device,
        rules=[rule.spec for rule in rules],
        sources=sources,
        exemplars=exemplars,
        class_names=checked.class_names,
    )
    differences = _differences(checked, recipe)
    if differences and not config.overwrite:
        raise _refusal(out, differences)

    inputs = PlanInputs(
        tables=tuple(checked.tables),
        image_info=tuple(checked.image_info),
        rules=rules,
        seed=config.seed,
        split_shares=config.split_shares,
        photos_per_unit=config.photos_per_unit,
        limit=config.limit,
        anonymous=config.anonymous,
    )

    def accept(plan: Plan) -> None:
        if not plan.units:
            raise InputError(
                f"--filters {' '.join(recipe['filters'])}: keep none of the {plan.rows} boxes "
                f"(malformed {plan.malformed}, filtered {plan.filtered}); loosen them"
            )
        found = differences or _differences(checked, {**recipe, "inputs": plan.inputs})
        if not found:
            return
        if not config.overwrite:
            raise _refusal(out, found)
        for name in OUTPUTS:
            out.remove(name)
        finished.clear()

    finished = set(checked.finished)
    plan = _plan(inputs, checked.store, out, anew=bool(differences), accept=accept, say=say, progress=progress)
    recipe["inputs"] = plan.inputs
    _probe_photos(checked.store, out, config)
    if not finished:
        for name in UNITS_OUTPUTS:  # what a job that was killed before its first record, or while it removed, left
            out.remove(name)
    out.write_json(RECIPE, recipe)
    names = _encoder_names(sources, exemplars)
    return Prepared(config, out, checked.store, checked.class_names, device, recipe, plan, names, frozenset(finished))


def _differences(checked: Inputs, recipe: dict[str, Any]) -> list[str]:
    """What keeps this job from going on with what its output holds already."""
    if not checked.finished:
        return []
    most = max(int(name.rpartition("-d")[2].removesuffix(".json")) + 1 for name in checked.finished)
    fewer = []
    if most > checked.config.draws:
        fewer = [f"--draws {checked.config.draws}: {checked.out.url} already holds {most}; give at least {most}"]
    return fewer + recipe_differences(checked.out, recipe)


def _refusal(out: Folder, differences: list[str]) -> InputError:
    return InputError(
        f"--out {out.url}: began with another recipe ({'; '.join(differences)}); give that one again, another --out, "
        "or --overwrite to start anew"
    )


def pending_tasks(job: Prepared) -> tuple[list[UnitTask], int]:
    """List the units with draws to make: those without a record.

    Returns:
        The tasks, and how many units and draws are finished.
    """
    tasks = []
    done = 0
    for row in read_units(job.out).to_pylist():
        draws = tuple(d for d in range(job.config.draws) if f"{unit_name(row['unit'], d)}.json" not in job.finished)
        done += job.config.draws - len(draws)
        if draws:
            tasks.append(UnitTask(row["unit"], row["split"], row["photos"], row["file"], row["row_group"], draws))
    return tasks, done


def load_encoders(config: ShardConfig, device: str) -> tuple[SourceEncoder, ExemplarEncoder]:
    """Load both encoders, with what must be pinned for equal bytes."""
    make_deterministic()
    return (
        load_vae(config.vae, device=device, dtype=config.dtype),
        load_clip(config.clip, device=device, dtype=config.dtype),
    )


def read_class_names(url: str, *, anonymous: bool) -> dict[str, str]:
    """Read a class-names table: label, name, with or without a header line.

    Raises:
        InputError: it is absent, or has no second column.
    """
    fs, path = filesystem(url, anonymous=anonymous)
    try:
        rows = list(csv.reader(read_bytes(fs, path).decode("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--classes {url}: {error}; give a CSV of label and name") from error
    for line, row in enumerate(rows, start=1):
        if row and len(row) < 2:
            raise InputError(f"--classes {url}: line {line}: {row!r} has no name; give a CSV of label and name")
    return {row[0]: row[1] for row in rows if row and row[0] not in ("LabelName", "id")}


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


def _plan(
    inputs: PlanInputs,
    store: PhotoStore,
    out: Folder,
    *,
    anew: bool,
    accept: Callable[[Plan], None],
    say: Callable[[str], None],
    progress: Callable[[int], None],
) -> Plan:
    """Take up the plan of an earlier run where nothing it depends on has changed; else, or if told so, plan anew."""
    key = digest_of(
        {
            **asdict(replace(inputs, rules=())),
            "rules": [rule.spec for rule in inputs.rules],
            "archives": store.archives,
            "files": [_stamp(url, inputs.anonymous) for url in (*inputs.tables, *inputs.image_info, *store.archives)],
        }
    )
    if not anew and out.read_if_there(f"{PLAN}/key") == key.encode():
        with suppress(FileNotFoundError, ValueError, TypeError):  # damaged since: plan anew
            plan = Plan(**json.loads(out.read(f"{PLAN}/plan.json")))
            read_units(out)
            say("taking up the plan of the earlier run")
            return plan
    say(f"planning from {len(inputs.tables)} box table{'s' if len(inputs.tables) > 1 else ''}")
    plan = make_plan(inputs, places=store.places(), out=out, accept=accept, progress=progress)
    out.write(f"{PLAN}/key", key.encode())
    return plan


def _stamp(url: str, anonymous: bool) -> str:
    """Tell one version of a file from another without reading it."""
    fs, path = filesystem(url, anonymous=anonymous)
    try:
        info = with_retries(lambda: fs.info(path))
    except OSError as error:
        raise InputError(f"{url}: cannot be read ({error}); check the address and the credentials") from error
    facts = [info.get(name) for name in ("size", "mtime", "LastModified", "ETag", "etag")]
    return hashlib.sha256(json.dumps([url, *facts], default=str).encode()).hexdigest()


def _probe_photos(store: PhotoStore, out: Folder, config: ShardConfig) -> None:
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


def _encoder_names(sources: SourceEncoder, exemplars: ExemplarEncoder) -> dict[str, str]:
    """Name the encoders without their paths."""

    def plain(name: str, what: str) -> str:
        return f"untrained {what}" if name == UNTRAINED else name.rstrip("/").rsplit("/", 1)[-1]

    return {"vae": plain(sources.name, "AutoencoderKL"), "clip": plain(exemplars.name, "CLIP vision tower")}
