"""Whatever a method does, each case ends with its picture or a reason of its own."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.attempts import edit_cases, why_not
from pbe.evaluation.methods.protocol import CaseError, Edited, facts_of
from pipeline.errors import InputError
from tests.pbe.evaluation.methods.opened_cases import opened_case

CASES = [opened_case(name) for name in "abcd"]


@dataclass
class Inverting:
    """Inverts sources; `on` may do something else with a case."""

    on: Callable[[OpenedCase], Any] = lambda case: 255 - case.source
    name: str = "inverting"
    reason: Any = ""
    calls: list[int] = field(default_factory=list)

    def available(self) -> Any:
        return self.reason

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        self.calls.append(len(cases))
        return [self.on(case) for case in cases]


def failing_on_b(error: BaseException) -> Callable[[OpenedCase], Any]:
    def on(case: OpenedCase) -> Any:
        if case.name == "b":
            raise error
        return 255 - case.source

    return on


def assert_others_made(attempts: Sequence[Any]) -> None:
    for case, attempt in zip(CASES, attempts, strict=True):
        if case.name != "b":
            assert np.array_equal(attempt[""], 255 - case.source)


def test_a_sound_method_edits_all_cases_in_one_call() -> None:
    method = Inverting()
    attempts = edit_cases(method, CASES)
    assert_others_made(attempts)
    assert method.calls == [4] and not isinstance(attempts[1], CaseError)


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("bad\nluck"), "ValueError: bad"),
        (KeyError(), "KeyError"),
        (OutOfMemoryError("of memory"), "OutOfMemoryError: of memory"),
        (MemoryError("64 TiB"), "MemoryError: 64 TiB"),
        (CaseError("no label"), "no label"),
        (InputError("b.pt: is damaged; get it again"), "b.pt: is damaged; get it again"),
    ],
)
def test_a_case_that_raises_fails_alone_and_says_why(error: Exception, said: str) -> None:
    method = Inverting(failing_on_b(error))
    attempts = edit_cases(method, CASES)
    assert_others_made(attempts)
    assert isinstance(attempts[1], CaseError) and str(attempts[1]) == said
    assert method.calls == [4, 1, 1, 1, 1]
    in_own_words = isinstance(error, CaseError | InputError)
    assert bool(attempts[1].log) != in_own_words
    assert in_own_words or "in on\n    raise error" in attempts[1].log


def test_an_interrupt_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        edit_cases(Inverting(failing_on_b(KeyboardInterrupt())), CASES)


def test_a_method_that_ends_the_process_fails_its_case_alone() -> None:
    attempts = edit_cases(Inverting(failing_on_b(SystemExit("no weights"))), CASES)
    assert_others_made(attempts)
    assert str(attempts[1]) == "SystemExit: no weights"


def test_a_method_that_goes_to_another_folder_leaves_the_run_in_its_own() -> None:
    class Leaving(Inverting):
        def edit(self, cases: Sequence[OpenedCase]) -> Any:
            os.chdir("/")
            return super().edit(cases)

    before = Path.cwd()
    edit_cases(Leaving(), CASES)
    assert Path.cwd() == before != Path("/")


@pytest.mark.parametrize("given", [None, 3, (), "of all", np.zeros((3, 40, 56, 3), np.uint8), {"a": 1}])
def test_another_number_of_results_has_every_case_tried_alone(given: Any) -> None:
    class Batchless(Inverting):
        def edit(self, cases: Sequence[OpenedCase]) -> Any:
            return super().edit(cases) if len(cases) == 1 else given

    assert_others_made(edit_cases(Batchless(), CASES))


def test_a_method_that_gives_no_result_at_all_fails_every_case() -> None:
    class Silent(Inverting):
        def edit(self, cases: Sequence[OpenedCase]) -> Any:
            return iter(())

    attempts = edit_cases(Silent(), CASES)
    assert [str(attempt) for attempt in attempts] == ["gives 0 results for one case"] * 4


def test_one_odd_picture_among_sound_ones_costs_no_second_call() -> None:
    method = Inverting(lambda case: np.nan * case.source if case.name == "b" else 255 - case.source)
    attempts = edit_cases(method, CASES)
    assert_others_made(attempts)
    assert "not finite" in str(attempts[1]) and method.calls == [4]


def test_a_method_that_paints_into_its_inputs_changes_no_case() -> None:
    def paint(case: OpenedCase) -> Any:
        case.source[case.mask] = 0
        case.mask[:] = True
        case.exemplar[:] = 7
        return case.source

    before = [(case.source.copy(), case.mask.copy(), case.exemplar.copy()) for case in CASES]
    edit_cases(Inverting(paint), CASES)
    for case, (source, mask, exemplar) in zip(CASES, before, strict=True):
        assert np.array_equal(case.source, source) and np.array_equal(case.mask, mask)
        assert np.array_equal(case.exemplar, exemplar)


def test_a_result_that_refers_to_one_buffer_is_copied_at_once() -> None:
    case = opened_case()
    buffer = case.source.copy()
    [attempt] = edit_cases(Inverting(lambda _: buffer), [case])
    buffer[:] = 0
    assert not isinstance(attempt, CaseError) and np.array_equal(attempt[""], case.source)


@pytest.mark.parametrize(
    ("reason", "said"),
    [("", ""), ("no weights", "no weights"), (True, "its available() gives True, not a text"), (None, "gives None")],
)
def test_why_a_method_cannot_run_is_always_a_text(reason: Any, said: str) -> None:
    assert said in why_not(Inverting(reason=reason))
    assert not why_not(Inverting(reason="")) and why_not(Inverting(reason=reason)) != "None"


def test_what_available_raises_is_a_reason() -> None:
    class Broken(Inverting):
        def available(self) -> str:
            raise OSError("no disk")

    assert why_not(Broken()) == "its available() raises OSError: no disk"


@pytest.mark.parametrize(
    ("what", "given", "message"),
    [
        ("variants", ["crop", "crop"], "name one twice"),
        ("variants", 3, "its variants are 3; give a list of texts"),
        ("notes", [1], r"its notes are \[1\]"),
        ("settings", {"digest": b"a"}, "no JSON object"),
        ("settings", {"scale": np.inf}, "no JSON object"),
        ("settings", [3], "no JSON object"),
    ],
)
def test_what_a_method_says_of_itself_in_another_form_is_refused(what: str, given: Any, message: str) -> None:
    method = Inverting()
    setattr(method, what, given)
    with pytest.raises(InputError, match=f"^inverting: .*{message}"):
        facts_of(method)


def test_one_text_counts_as_a_list_of_one() -> None:
    method = Inverting()
    method.notes = "untrained weights"  # type: ignore[attr-defined]
    assert facts_of(method).notes == ("untrained weights",) and facts_of(method).variants == ("",)
