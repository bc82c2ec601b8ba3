"""What an edit prints last: what to look at, and a command to run next, as a shell reads it."""

import shlex
from pathlib import Path

import tyro
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.editing.case_table import single_case
from pbe.editing.config import EditConfig
from pbe.editing.ending import command_of, end_lines, strange_holes
from pbe.editing.outputs import find_outputs

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
CONFIGS = st.builds(
    EditConfig,
    model=NAMES,
    out=NAMES,
    source=NAMES,
    exemplar=NAMES,
    guidance=st.sampled_from(["5", "1,2.5"]),
    steps=st.integers(1, 500),
    paste_back=st.booleans(),
    device=st.sampled_from(["", "cpu"]),
)


def read(command: str) -> EditConfig:
    """The config that a shell's reading of a command has."""
    python, flag, module, *arguments = shlex.split(command)
    assert (python, flag, module) == ("python", "-m", "pbe.edit")
    return tyro.cli(EditConfig, args=arguments)


@settings(max_examples=30)
@given(CONFIGS)
def test_a_printed_command_has_the_config_that_it_was_printed_of(config: EditConfig) -> None:
    assert read(command_of(config)) == config


def test_guidance_scales_come_next_then_seeds_each_beside_what_there_is(tmp_path: Path) -> None:
    def printed_next(config: EditConfig) -> EditConfig:
        outputs = find_outputs(config)
        *_, last = end_lines(config, [single_case(config, name=outputs.stem)], outputs, todo=1, failed=0, seconds=1.0)
        said, _, command = last.partition(": ")
        assert said == "next"
        return read(command)

    first = EditConfig(str(tmp_path / "a b.png"), "model", source="s", box="0,0,9,9", exemplar="e", guidance="2")
    second = printed_next(first)
    assert (second.guidance, second.n, second.out) == ("1,3,5,7", 1, str(tmp_path / "a b-guidance.png"))
    third = printed_next(second)
    assert (third.guidance, third.n, third.out) == ("5", 4, str(tmp_path / "a b-guidance-seeds.png"))


def test_holes_unlike_those_of_the_training_are_told_in_a_line_a_kind_and_others_are_not() -> None:
    table, single = EditConfig("o", "m", cases="c.csv", context="whole"), EditConfig("o", "m", context="whole")
    seen = {"1": 0.2, "99": 0.9}
    assert not list(strange_holes(single, {"a": 0.2, "b": 0.9}, seen=seen))
    assert not list(strange_holes(single, {"a": 0.01}, seen=None))
    smaller, larger = strange_holes(table, {**dict.fromkeys("abcd", 0.1), "e": 0.95, "f": 0.5}, seen=seen)
    assert smaller.startswith(
        "hole of 0.10 (a), 0.10 (b), 0.10 (c) and 1 more of the side of what the model sees, less "
    )
    assert "(0.20 or more): leave --context whole out" in smaller
    assert larger.startswith("hole of 0.95 (e) of the side of what the model sees, more than in 99 of 100 samples ")
    assert "(0.90 or less): give a larger source" in larger
