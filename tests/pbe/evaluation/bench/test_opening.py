"""A table or folder, a limit and a seed -> the same cases, whatever their order."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.bench.cases import SEEDS, open_case
from pbe.evaluation.bench.digests import digest_of_bench
from pbe.evaluation.bench.limits import choose
from pbe.evaluation.bench.opening import open_bench
from pipeline.errors import InputError
from pipeline.rng import seed_for
from tests.pbe.evaluation.bench.benches import box_mask, picture, save, write_cocoee, write_table

NAMES = st.lists(st.text("ab1", max_size=4), unique=True, max_size=30)


@settings(max_examples=40)
@given(NAMES, st.integers(0, 40), st.integers(0, 3), st.randoms())
def test_a_limit_takes_the_same_cases_in_any_order_and_a_larger_one_takes_more(
    names: list[str], limit: int, seed: int, random: object
) -> None:
    chosen = [names[number] for number in choose(names, limit=limit, seed=seed)]
    assert len(chosen) == (min(limit, len(names)) if limit else len(names))
    assert chosen == [name for name in names if name in chosen]  # in the cases' own order
    shuffled = sorted(names, key=lambda name: seed_for(0, str(random), name))
    assert {shuffled[number] for number in choose(shuffled, limit=limit, seed=seed)} == set(chosen)
    if limit:
        assert set(chosen) <= {names[number] for number in choose(names, limit=limit + 1, seed=seed)}
        rest = [name for name in names if name in chosen or seed_for(1, name) % 2]  # others gone: these stay
        assert {rest[number] for number in choose(rest, limit=limit, seed=seed)} >= set(chosen)


def test_a_limited_bench_knows_what_it_is_a_part_of(tmp_path: Path) -> None:
    write_cocoee(tmp_path, range(9))
    assert open_bench(str(tmp_path)).subset_of == open_bench(str(tmp_path), limit=9).subset_of == 0
    bench = open_bench(str(tmp_path), limit=4, seed=3)
    assert (len(bench.cases), bench.subset_of) == (4, 9)
    assert bench.cases != open_bench(str(tmp_path), limit=4, seed=4).cases
    with pytest.raises(InputError, match="--limit -1: give a number of cases"):
        open_bench(str(tmp_path), limit=-1)


def test_a_case_has_its_own_seed_or_that_of_its_name(tmp_path: Path) -> None:
    row = "source.png,mask.png,exemplar.png"
    table = write_table(tmp_path, [f"a,{row},7", f"b,{row},"], "name,source,mask,exemplar,seed")
    given, made = open_bench(str(table), seed=5).cases
    assert given.seeds == (7,) and made.seeds == (seed_for(5, "case", "b") % SEEDS,)
    assert open_case(made).seed == made.seeds[0] and open_case(made).guidance == 5


def test_a_table_may_have_boxes_and_no_ground_truth(tmp_path: Path) -> None:
    table = write_table(tmp_path, ['a,source.png,"4,6,16,18",exemplar.png'], "name,source,box,exemplar")
    bench = open_bench(str(table))
    assert (bench.kind, bench.name) == ("cases", "cases")
    opened = open_case(bench.cases[0])
    assert opened.ground_truth is None and opened.mask.sum() == 12 * 12


def test_flags_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path, ["a,source.png,mask.png,exemplar.png"])
    with pytest.raises(InputError, match="fill the table's column label"):
        open_bench(str(table), annotations="instances.json")
    with pytest.raises(InputError, match="--bench: is empty"):
        open_bench("")


def test_a_digest_is_of_names_seeds_labels_boxes_and_contents_alone(tmp_path: Path) -> None:
    row = "source.png,mask.png,exemplar.png,source.png"
    header = "name,source,mask,exemplar,ground_truth,label,seed"
    rows = [f"a,{row},dog,1", f"b,{row},cat,2"]
    write_table(tmp_path / "one", rows, header)
    digest = digest_of_bench(open_bench(str(tmp_path / "one/cases.csv")))
    assert len(digest) == 16

    def digest_with(changed: list[str], header: str = header, *, file: str = "", pixels: object = None) -> str:
        folder = tmp_path / "other"
        shutil.rmtree(folder, ignore_errors=True)
        table = write_table(folder, changed, header)
        if file:
            save(folder / file, pixels)
        return digest_of_bench(open_bench(str(table)))

    assert digest_with(rows[::-1]) == digest  # elsewhere, in another order
    assert (
        digest_with([rows[0].replace("source.png", "copy.png"), rows[1]], file="copy.png", pixels=picture(0)) == digest
    )
    boxed = [[f'{name},source.png,"{box}",exemplar.png' for name in "ab"] for box in ("1,1,5,5", "1,1,5,6")]
    others = [
        digest_with([rows[0].replace("a,", "c,", 1), rows[1]]),
        digest_with([rows[0].replace("dog", "hot dog"), rows[1]]),
        digest_with([rows[0][:-1] + "3", rows[1]]),
        digest_with(rows[:1]),
        digest_with(rows, file="exemplar.png", pixels=picture(2, 10, 14)),
        digest_with(rows, file="mask.png", pixels=box_mask(4, 6, 16, 17)),
        *(digest_with(rows, "name,source,box,exemplar") for rows in boxed),
    ]
    assert len({digest, *others}) == len(others) + 1
