"""Job: a config -> checked inputs, recipe and plan, before any unit is made. All that a shard job does outside Ray."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.config import ShardConfig
from pipeline.encoders.clip import load_clip
from pipeline.encoders.fingerprints import make_deterministic
from pipeline.encoders.names import UNTRAINED
from pipeline.encoders.protocols import ExemplarEncoder, SourceEncoder
from pipeline.encoders.vae import load_vae
from pipeline.errors import InputError
from pipeline.jobs.inputs import Inputs, probe_photos, stamp
from pipeline.photos.store import PhotoStore
from pipeline.planning.plan import make_plan
from pipeline.planning.plan_files import PLAN, read_units
from pipeline.planning.row_counts import Plan, PlanInputs
from pipeline.planning.tasks import UnitTask
from pipeline.shards.manifest import RECIPE, recipe_differences
from pipeline.shards.recipe import digest_of, make_recipe
from pipeline.storage.folder import Folder
from schemas.shards import CARD, FUNNEL, MANIFEST, OVERVIEW, SHARDS_TABLE, unit_name

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
        vae={"fingerprint": sources.fingerprint, "channels": sources.channels, "factor": sources.factor},
        clip={"fingerprint": exemplars.fingerprint, "dimension": exemplars.dimension},
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
    probe_photos(checked.store, out, config)
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
            "files": [stamp(url, inputs.anonymous) for url in (*inputs.tables, *inputs.image_info, *store.archives)],
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


def _encoder_names(sources: SourceEncoder, exemplars: ExemplarEncoder) -> dict[str, str]:
    """Name the encoders without their paths."""

    def plain(name: str, what: str) -> str:
        return f"untrained {what}" if name == UNTRAINED else name.rstrip("/").rsplit("/", 1)[-1]

    return {"vae": plain(sources.name, "AutoencoderKL"), "clip": plain(exemplars.name, "CLIP vision tower")}
