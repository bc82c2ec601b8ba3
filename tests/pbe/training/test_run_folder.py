"""What a training's folder holds already, and whether a training may go on there."""

import re
import shlex
from dataclasses import asdict, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.train import parse_train_config
from pbe.training.config import PRESETS, SWITCHES, TrainConfig, lasting, switched
from pbe.training.run_folder import refuse_changes
from pipeline.errors import InputError

BEGUN = lasting(PRESETS["smoke"])
# What a flag may be set to, one value besides the presets'; the rest are numbers.
WORDS: dict[str, list[Any]] = {
    "init_from": ["", "my models/it's $HOME", "-odd"],
    "weights": ["raw", "ema"],
    "exemplar": ["live"],
    "model": ["small"],
    "prediction": ["v"],
    "lr_schedule": ["cosine"],
    "dtype": ["bf16"],
    "zero_stage": [2],
    "batch_size": [64],
    "lanes": [32],
}


@pytest.mark.parametrize("field", BEGUN)
def test_a_checkpoint_that_lacks_a_field_has_that_fields_default(field: str) -> None:
    older = {name: value for name, value in BEGUN.items() if name != field}
    refuse_changes(PRESETS["smoke"], older)
    with pytest.raises(InputError, match="seed 0 -> 6"):
        refuse_changes(replace(PRESETS["smoke"], seed=6), older)


def test_where_the_learning_rate_falls_to_the_last_step_that_step_stays_and_elsewhere_not() -> None:
    constant, cosine = PRESETS["smoke"], replace(PRESETS["smoke"], lr_schedule="cosine")
    refuse_changes(replace(constant, steps=70), lasting(constant))
    refuse_changes(cosine, lasting(cosine))
    with pytest.raises(InputError, match=r"\(steps 60 -> 70\)"):
        refuse_changes(replace(cosine, steps=70), lasting(cosine))
    for now, then in ((cosine, constant), (constant, cosine)):
        with pytest.raises(InputError, match=rf"\(lr_schedule {then.lr_schedule} -> {now.lr_schedule}\)"):
            refuse_changes(replace(now, steps=70), lasting(then))


def _flags_to_go_on(config: TrainConfig, before: dict[str, Any]) -> list[str]:
    """The flags that the refusal names; none: there is no refusal."""
    try:
        refuse_changes(config, before)
    except InputError as error:
        [flags] = re.findall(r"to go on with that one, add `(.*)`; or give another --out$", str(error))
        return shlex.split(flags)
    return []


def test_a_training_of_the_paper_begun_before_it_kept_an_average_is_refused_by_the_flag_that_goes_on() -> None:
    before = {**lasting(PRESETS["paper"]), "ema": 0.0}
    assert _flags_to_go_on(parse_train_config(["paper"]), before) == ["--ema", "0.0"]
    refuse_changes(parse_train_config(["paper", "--ema", "0"]), before)


def _other(name: str, value: Any) -> st.SearchStrategy[Any]:
    if name in WORDS:
        return st.sampled_from([value, *WORDS[name]])
    if type(value) is bool:
        return st.booleans()
    return st.sampled_from([value, 1 if type(value) is int else 0.25])


@st.composite
def _begun(draw: st.DrawFn, preset: str) -> dict[str, Any]:
    """The lasting fields of a training that some command line, allowed then, has begun."""
    start = asdict(PRESETS[preset])
    changed = {name: draw(_other(name, start[name])) for name in draw(st.sets(st.sampled_from(sorted(BEGUN))))}
    try:
        return lasting(switched(replace(PRESETS[preset], naive=draw(st.booleans()), **changed)))
    except InputError:
        return lasting(PRESETS[preset])


COMMANDS = [
    [],
    ["--lr-schedule", "cosine"],
    ["--naive"],
    ["--no-prior"],
    ["--no-guidance-drop", "--init-from", "sd"],
    ["--no-bottleneck"],
]


@settings(max_examples=15)
@given(
    st.data(),
    st.sampled_from(["smoke", "paper"]),
    st.sampled_from(["smoke", "paper", "24gb"]),
    st.sampled_from(COMMANDS),
)
def test_the_flags_that_a_refusal_names_go_on_with_the_training_that_was_begun(
    data: st.DataObject, preset: str, begun: str, more: list[str]
) -> None:
    before = data.draw(_begun(begun))
    command = [preset, *more]
    named = _flags_to_go_on(parse_train_config(command), before)
    refuse_changes(parse_train_config([*command, *named]), before)


def test_every_switch_and_what_it_empties_are_fields_of_a_training() -> None:
    assert {*SWITCHES, *filter(None, SWITCHES.values())} <= {field.name for field in fields(TrainConfig)} & BEGUN.keys()
