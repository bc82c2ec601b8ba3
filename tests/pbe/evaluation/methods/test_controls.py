import numpy as np

from pbe.evaluation.copying.pasting import paste_exemplar
from pbe.evaluation.methods.attempts import edit_cases
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import CaseError, MethodOptions
from tests.pbe.evaluation.methods.opened_cases import opened_case

WITH_TRUTH, WITHOUT = opened_case(ground_truth=opened_case("truth").source), opened_case("b")


def attempts_of(name: str) -> list[object]:
    [method] = open_methods([name], MethodOptions())
    assert not method.available()
    return list(edit_cases(method, [WITH_TRUTH, WITHOUT]))


def test_identity_gives_the_source() -> None:
    for case, attempt in zip((WITH_TRUTH, WITHOUT), attempts_of("identity"), strict=True):
        assert isinstance(attempt, dict) and np.array_equal(attempt[""], case.source)


def test_ground_truth_gives_what_was_there_and_fails_where_nobody_knows() -> None:
    known, unknown = attempts_of("ground-truth")
    assert isinstance(known, dict) and np.array_equal(known[""], WITH_TRUTH.ground_truth)
    assert isinstance(unknown, CaseError) and str(unknown) == "has no ground truth"


def test_copy_paste_stretches_the_exemplar_over_the_masks_rectangle_and_leaves_the_rest() -> None:
    for case, attempt in zip((WITH_TRUTH, WITHOUT), attempts_of("copy-paste"), strict=True):
        assert isinstance(attempt, dict)
        assert np.array_equal(attempt[""], paste_exemplar(case.source, case.mask, case.exemplar))
        assert np.array_equal(attempt[""][~case.mask], case.source[~case.mask])
