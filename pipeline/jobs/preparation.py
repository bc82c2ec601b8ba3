"""Preparation: checked inputs -> recipe and plan, before any unit is made."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from pipeline.boxes.denied import DENIED_RULE, DeniedBoxes
from pipeline.boxes.first_problems import SHOWN_PROBLEMS, first_problems
from pipeline.boxes.malformed import DUPLICATE
from pipeline.config import ShardConfig
from pipeline.encoders.facts import EncoderFacts
from pipeline.encoders.names import SHIPPED, UNTRAINED, recorded_name
from pipeline.errors import InputError
from pipeline.jobs.inputs import CheckedInputs, probe_photos, stamp
from pipeline.photos.store import PhotoStore
from pipeline.planning.denials import ABSENT, IDLE, USED
from pipeline.planning.plan import PlanDraft, draft_plan
from pipeline.planning.plan_files import PLAN, read_units
from pipeline.planning.row_counts import Plan, PlanInputs
from pipeline.planning.tasks import UnitTask
from pipeline.shards.manifest import RECIPE, read_config, read_recipe, recipe_differences
from pipeline.shards.recipe import RULES, Json, digest_of, make_recipe
from pipeline.shards.retry_intent import RetryIntent, read_intent, write_intent
from pipeline.storage.folder import Folder
from schemas.shards import CARD, FUNNEL, MANIFEST, OVERVIEW, RECORD_NAME, SHARDS_TABLE, place_of_record, unit_name

# What a job writes; --overwrite removes these, in this order, and nothing else: a job killed meanwhile finds either
# the old recipe or no records.
OUTPUTS = (f"{PLAN}/key", MANIFEST, SHARDS_TABLE, CARD, OVERVIEW, FUNNEL, "units", "shards", "index", "drops", RECIPE)
UNITS_OUTPUTS = ("shards", "index", "drops/units")

Say = Callable[[str], None]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class PreparedJob:
    """A checked job: `config` with all paths absolute, and what it decides."""

    config: ShardConfig
    out: Folder
    store: PhotoStore
    class_names: dict[str, str]
    device: str
    encoders: EncoderFacts
    recipe: Json
    plan: Plan
    finished: frozenset[str]  # names of the records of finished units and draws
    intent: RetryIntent

    @property
    def recipe_digest(self) -> str:
        return digest_of(self.recipe)

    @property
    def names(self) -> dict[str, str]:
        """The encoders' names without their paths."""
        return {
            "vae": recorded_name(self.config.vae, {UNTRAINED: "AutoencoderKL", SHIPPED: "codec"}),
            "clip": recorded_name(self.config.clip, {UNTRAINED: "CLIP vision tower", SHIPPED: "exemplar encoder"}),
        }


def prepare(
    checked: CheckedInputs,
    out: Folder,
    *,
    device: str,
    encoders: EncoderFacts,
    finished: frozenset[str] | None = None,
    draws_given: bool = True,
    say: Say,
    progress: Progress,
) -> PreparedJob:
    """Compute a job's recipe, and plan it, or take up the plan of an earlier run.

    Args:
        out: the dataset, held by this job.
        device: cpu or cuda, for the encoders.
        encoders: with fingerprints.
        finished: what `list_finished` gave, where that has been asked already.
        draws_given: whether the user gave --draws; a preset's own are a minimum: work that has more goes on with them.
        say: called with one line a step.
        progress: called with the number of box rows read so far.

    Raises:
        InputError: the output holds the work of another recipe, or no box is left; no unit has been begun then.
    """
    config = checked.config
    finished = list_finished(out) if finished is None else finished
    there = _count_draws(finished, read_intent(out))
    recipe = make_recipe(
        config,
        device=device,
        filters=checked.rule_specs,
        vae=asdict(encoders.vae),
        clip=asdict(encoders.clip),
        class_names=checked.class_names,
    )
    more = not draws_given and there > config.draws and not (config.overwrite and recipe_differences(out, recipe))
    if more:
        config = replace(config, draws=there)
        checked = replace(checked, config=config)
    # Whatever the tables hold, another recipe is refused before they are read.
    anew = _refuse_differences(config, out, _differences(config, out, there, recipe))
    if more:
        say(f"going on with the {there} draws that the output has")
    elif there and not anew and not draws_given and (before := _draws_of_last_run(out, there)) < config.draws:
        say(f"the output was begun with {before} draws, the preset makes {config.draws}; --draws {before} adds none")
    inputs = _plan_inputs(checked)
    key = _plan_key(inputs, checked)
    plan = None if anew else _earlier_plan(out, key)
    if plan:
        say("taking up the plan of the earlier run")
    else:
        say(f"planning from {len(inputs.tables)} box table{'s' if len(inputs.tables) > 1 else ''}")
        plan, finished = _plan_anew(
            checked, out, inputs, recipe=recipe, finished=finished, there=there, progress=progress
        )
        out.write(f"{PLAN}/key", key.encode())
    if plan.photos_copied:
        say(f"{plan.photos_copied:,} photos lie in several places, with the same bytes")
    if checked.denied:
        say(_describe_denials(checked.denied, plan))
    recipe["inputs"] = plan.inputs
    probe_photos(checked.store, out, config)
    if not finished:
        out.refuse_outside(*UNITS_OUTPUTS)
        for name in UNITS_OUTPUTS:  # what a job that was killed before its first record, or while it removed, left
            out.remove(name)
    out.write_json(RECIPE, recipe)
    return PreparedJob(
        config, out, checked.store, checked.class_names, device, encoders, recipe, plan, finished, read_intent(out)
    )


def pending_tasks(job: PreparedJob) -> tuple[list[UnitTask], int]:
    """List the units with draws to make: those without a record.

    Returns:
        The tasks, and how many units and draws are finished.
    """
    units = read_units(job.out)
    tasks = []
    done = 0
    for row, unit in enumerate(units["unit"].to_pylist()):
        draws = tuple(d for d in range(job.config.draws) if f"{unit_name(unit, d)}.json" not in job.finished)
        done += job.config.draws - len(draws)
        if draws:
            place = units.slice(row, 1).to_pylist()[0]
            where = (place["split"], place["photos"], place["file"], place["row_group"])
            finished = tuple(draw for draw in range(job.config.draws) if draw not in draws)
            tasks.append(UnitTask(unit, *where, draws, finished))
    return tasks, done


def list_finished(out: Folder) -> frozenset[str]:
    """List the names of the records of finished units and draws."""
    return frozenset(name for name in out.names("units") if RECORD_NAME.fullmatch(name))


def _count_draws(finished: frozenset[str], intent: RetryIntent) -> int:
    """Count the draws of which there is a record, or was before a retry removed it; 0: there is no work."""
    removed = intent.draws if intent.units else 0
    return max(removed, *(place_of_record(name)[1] + 1 for name in finished), 0)


def _draws_of_last_run(out: Folder, there: int) -> int:
    """The draws that an output was made for, which a killed run has not all begun with; else those that are there."""
    draws = read_config(out).get("draws")
    return draws if isinstance(draws, int) else there


def recorded_device(out: Folder) -> str | None:
    """The device that an output's units are made on; None where no recipe says."""
    recipe = read_recipe(out)
    return recipe.get("device") if recipe else None


def clear_leftovers(out: Folder) -> None:
    """Remove what is half written; only for a job that holds the output."""
    if out.local:
        out.remove("run/tmp")
        return
    with suppress(PermissionError):  # credentials that may write but not list uploads; buckets have rules for these
        out.abort_uploads()


def _differences(config: ShardConfig, out: Folder, there: int, recipe: Json) -> list[str]:
    """Describe what keeps this job from going on with the draws that its output holds already."""
    if not there:
        return []
    fewer = []
    if there > config.draws:
        fewer = [f"--draws {config.draws}: {out.url} already holds {there}; give at least {there}"]
    return fewer + recipe_differences(out, recipe)


def _refuse_differences(config: ShardConfig, out: Folder, differences: list[str]) -> bool:
    """Whether the job starts anew: there are differences, and --overwrite allows it.

    Raises:
        InputError: there are differences.
    """
    if differences and not config.overwrite:
        raise InputError(
            f"--out {out.url}: began with another recipe ({'; '.join(differences)}); give that one again, another "
            "--out, or --overwrite to start anew"
        )
    return bool(differences)


def _describe_denials(denied: DeniedBoxes, plan: Plan) -> str:
    used, idle, absent = (plan.deny_rows.get(use, 0) for use in (USED, IDLE, ABSENT))
    return (
        f"--deny {denied.url}: {plan.filtered.get(DENIED_RULE, 0):,} boxes denied by {used:,} of {len(denied.rows):,} "
        f"rows (dropped already: {idle:,}; not in the tables: {absent:,})"
    )


def _refuse_empty(draft: PlanDraft, checked: CheckedInputs) -> None:
    plan = draft.plan
    if not plan.rows:
        raise InputError(f"--boxes {' '.join(checked.tables)}: no rows; give a table with boxes")
    if not plan.units:
        deny = " and --deny" if checked.denied else ""
        raise InputError(
            f"--filters {' '.join(rule.spec for rule in checked.rules)}{deny}: keep none of the {plan.rows} boxes "
            f"(malformed {plan.malformed}, filtered {plan.filtered}); loosen them"
        )


def _refuse_malformed(draft: PlanDraft, checked: CheckedInputs) -> None:
    """Refuse tables of whose rows too many are malformed: what is left of them is likely wrong too.

    Raises:
        InputError: with the first of these rows, and the likely cause.
    """
    plan, limit = draft.plan, checked.config.max_malformed
    count = sum(plan.malformed.values())
    if count <= limit * plan.rows:
        return
    lines, cause = first_problems(checked.tables, plan.malformed, anonymous=checked.config.anonymous)
    lines += [f"{name}: {what}" for name, what in draft.first_drops(DUPLICATE, SHOWN_PROBLEMS - len(lines))]
    reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in Counter(plan.malformed).most_common())
    raise InputError(
        f"--boxes: {count:,} of {plan.rows:,} rows are malformed ({reasons}), more than --max-malformed {limit:g}; "
        + "".join(f"{line}; " for line in lines)
        + (f"likely cause: {cause}; " if cause else "")
        + "correct the tables, or raise --max-malformed to do without these rows"
    )


def _plan_anew(
    checked: CheckedInputs,
    out: Folder,
    inputs: PlanInputs,
    *,
    recipe: Json,
    finished: frozenset[str],
    there: int,
    progress: Progress,
) -> tuple[Plan, frozenset[str]]:
    """Plan, and publish the plan where the output can take it.

    Args:
        there: draws that the output holds.

    Returns:
        The plan, and what is finished: nothing, where --overwrite has removed it.

    Raises:
        InputError: too many rows are malformed, no box is left, a photo lies in two places with other bytes, or the
            output holds the work of other tables.
    """
    with draft_plan(inputs, places=checked.store.places, out=out, progress=progress) as draft:
        _refuse_malformed(draft, checked)
        _refuse_empty(draft, checked)
        draft.compare_copies()
        differences = _differences(checked.config, out, there, {**recipe, "inputs": draft.plan.inputs})
        if _refuse_differences(checked.config, out, differences):
            out.refuse_outside(*OUTPUTS)
            if (intent := read_intent(out)).units:  # their numbers mean other units in the new plan
                write_intent(out, replace(intent, units=(), removed=True))
            for name in OUTPUTS:
                out.remove(name)
            finished = frozenset()
        return draft.publish(), finished


def _plan_inputs(checked: CheckedInputs) -> PlanInputs:
    config = checked.config
    return PlanInputs(
        tables=tuple(checked.tables),
        image_info=tuple(checked.image_info),
        rules=checked.rules,
        denied=checked.denied,
        seed=config.seed,
        split_shares=config.split_shares,
        photos_per_unit=config.photos_per_unit,
        limit=config.limit,
        anonymous=config.anonymous,
        equal_boxes=checked.store.equal_boxes,
    )


def _plan_key(inputs: PlanInputs, checked: CheckedInputs) -> str:
    """Digest all that a plan depends on: our own rules, files by their stamps, --deny by its content."""
    plain = asdict(replace(inputs, rules=(), denied=None))
    del plain["denied"]  # which `rules` names
    archives = checked.store.archives
    files = [stamp(url, inputs.anonymous) for url in (*inputs.tables, *inputs.image_info, *archives)]
    return digest_of({**plain, "rules": [RULES, *checked.rule_specs], "archives": archives, "files": files})


def _earlier_plan(out: Folder, key: str) -> Plan | None:
    """The plan of an earlier run, where nothing that it depends on has changed."""
    if out.read_if_there(f"{PLAN}/key") != key.encode():
        return None
    with suppress(FileNotFoundError, ValueError, TypeError):  # damaged since: plan anew
        plan = Plan(**json.loads(out.read(f"{PLAN}/plan.json")))
        read_units(out)
        return plan
    return None
