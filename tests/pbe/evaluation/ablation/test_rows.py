"""The paper's five rows add one remedy each, and nothing else differs between their trainings."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.evaluation.ablation.absent import Absent
from pbe.evaluation.ablation.config import OWN, parse_row
from pbe.evaluation.ablation.rows import ADDED, NAMES, NO_PRIOR, method_spec, plan_rows
from pbe.evaluation.methods.attempts import why_not
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import MethodOptions
from pbe.training.config import PRESETS, TrainConfig, lasting

PRIOR = "runs/sd"


def configs_of(prior: str, preset: str = "smoke") -> list[TrainConfig]:
    return [parse_row([preset, *row.flags]) for row in plan_rows(prior)]


@pytest.mark.parametrize("preset", PRESETS)
def test_each_row_adds_one_remedy_and_all_else_is_equal(preset: str) -> None:
    configs = configs_of(PRIOR, preset)
    switches = [(c.prior, c.augmentation, c.bottleneck, c.guidance_drop) for c in configs]
    assert switches == [tuple(place < row for place in range(4)) for row in range(5)]
    assert [c.init_from for c in configs] == ["", *[PRIOR] * 4]
    assert [c.drop_share for c in configs] == [0, 0, 0, 0, 0.2]
    rest = [{k: v for k, v in lasting(c).items() if k not in (*OWN, "drop_share")} for c in configs]
    assert all(other == rest[0] for other in rest)


@pytest.mark.parametrize("preset", ["smoke", "tiny", "paper"])  # the others have weights of its own to start from
def test_without_a_prior_no_row_starts_from_one_and_the_later_ones_say_so(preset: str) -> None:
    rows = plan_rows("")
    assert [row.unavailable for row in rows] == ["", NO_PRIOR, "", "", ""]
    assert [row.label for row in rows] == ["naive", "+prior", *(f"{name}, no prior" for name in NAMES[2:])]
    assert not any(c.init_from or c.prior for c in configs_of("", preset))
    folders = [row.folder for row in (*rows[1:], *plan_rows(PRIOR)[1:])]
    assert len(set(folders)) == 2 * len(ADDED)  # a prior that comes later finds no training without it in its place


def test_a_prior_that_is_not_the_papers_is_named_in_each_row_that_starts_from_it() -> None:
    assert [row.label for row in plan_rows(PRIOR, caveat="from X")] == ["naive", *(f"{n}, from X" for n in NAMES[1:])]


@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1))
def test_a_row_that_was_not_trained_is_a_method_that_says_why_under_its_own_name(reason: str) -> None:
    row = plan_rows("")[3]
    [method] = open_methods([method_spec(row, model="", unavailable=reason)], MethodOptions())
    assert method.name == row.label
    assert Absent(reason).available() == method.available() == reason
    assert why_not(method) or not reason.strip()


def test_rows_open_as_methods_of_their_labels_whatever_their_folder() -> None:
    rows = plan_rows("")
    specs = [method_spec(row, model=f"/a=b/x@y/{row.folder}", unavailable=row.unavailable) for row in rows]
    assert [method.name for method in open_methods(specs, MethodOptions())] == [row.label for row in rows]
    assert asdict(rows[0])["flags"] == ("--naive",)
