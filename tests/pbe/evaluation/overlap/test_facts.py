"""Facts: what overlap.json holds, and what a banner says of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from pbe.evaluation.overlap.facts import ControlFacts, OverlapFacts, SideFacts, read_overlap
from pipeline.errors import InputError

NONE = OverlapFacts(
    training=SideFacts("runs/data", 1000, 998, "0" * 16, 900, {"missing": 2}, {"missing": ("a", "b")}),
    other=SideFacts("coco", 3500, 3500, "1" * 16),
    is_bench=True,
    shared=(),
    elsewhere=("9",),
    pairs=1,
    hits=7,
    aligned=3,
    plain=0,
    control=ControlFacts(124_750, 0),
)


def test_facts_are_read_as_they_were_written(tmp_path: Path) -> None:
    facts = replace(NONE, shared=("1", "2"), control=ControlFacts(10, 1, (("a", "b"),)))
    (tmp_path / "overlap.json").write_bytes(facts.to_json())
    read = read_overlap(str(tmp_path))
    assert read.to_json() == facts.to_json() and read.shared == ("1", "2")
    assert read_overlap(str(tmp_path / "overlap.json")) == read


def test_the_banner_says_what_was_found_and_what_was_not_compared() -> None:
    assert NONE.banner() == (
        "leak check: none of 3,500 bench photos was found in the training set (1,000 photos); 2 photos could not be "
        "compared"
    )
    many = replace(NONE, shared=tuple("abcdefg"), training=SideFacts("d", 5, 5, ""))
    assert many.banner() == "leak check: 7 of 3,500 bench photos are in the training set: a, b, c, d, e and 2 more"
    assert "1 of 3,500 bench photos is in" in replace(NONE, shared=("a",)).banner()


def test_the_bound_of_the_false_positive_rate_is_that_of_clopper_and_pearson() -> None:
    assert ControlFacts(1000, 0).most == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert ControlFacts(1000, 5).most == pytest.approx(0.0104838, rel=1e-4)
    assert ControlFacts(0, 0).most == 1 and "not measured" in ControlFacts(0, 0).describe()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"training": 3}'])
def test_a_torn_or_foreign_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "overlap.json").write_text(content)
    with pytest.raises(InputError, match=r"overlap\.json: is not what pbe\.leaks found"):
        read_overlap(str(tmp_path))


def test_a_folder_without_facts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"overlap\.json: missing; give the --out"):
        read_overlap(str(tmp_path))
