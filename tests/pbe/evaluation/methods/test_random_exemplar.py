from hypothesis import given
from hypothesis import strategies as st

from pbe.editing.case import Case
from pbe.evaluation.methods.random_exemplar import swap_exemplars

SHARED = st.lists(st.integers(0, 5), max_size=20)


def cases_of(exemplars: list[int]) -> list[Case]:
    return [Case(name=f"case{n}", source="", exemplar=f"{exemplar}.png") for n, exemplar in enumerate(exemplars)]


@given(SHARED)
def test_nobody_gets_his_own_exemplar_and_each_is_taken_at_most_once(exemplars: list[int]) -> None:
    cases = cases_of(exemplars)
    swapped = swap_exemplars(cases)
    assert all(swapped[case.name].exemplar != case.exemplar for case in cases if case.name in swapped)
    assert len({other.name for other in swapped.values()}) == len(swapped)
    most = max(map(exemplars.count, exemplars), default=0)
    left_out = max(0, 2 * most - len(cases))  # those of the commonest exemplar for whom no other is left
    assert len(swapped) == len(cases) - left_out


@given(SHARED, st.randoms())
def test_the_order_of_cases_does_not_matter(exemplars: list[int], random: object) -> None:
    cases = cases_of(exemplars)
    shuffled = cases.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert swap_exemplars(shuffled) == swap_exemplars(cases)
