"""A recorded bench opens as it was, and only as it was."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.editing.case import Case
from pbe.editing.records import digest_input
from pbe.evaluation.bench.cases import Bench
from pbe.evaluation.bench.recorded import cases_table, files_of, open_recorded, read_recorded
from pipeline.errors import InputError


def picture(path: Path, *, value: int = 90) -> str:
    Image.fromarray(np.full((8, 10, 3), value, np.uint8)).save(path)
    return str(path)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    hole = np.zeros((8, 10), np.uint8)
    hole[2:5, 3:7] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    source, exemplar = picture(tmp_path / "s.png"), picture(tmp_path / "e.png", value=7)
    masked = Case("a", source, exemplar, mask=str(tmp_path / "mask.png"), ground_truth=source, label="dog", seeds=(3,))
    return Bench("small", "cases", (masked, Case("b", source, exemplar, box="1,2,4,5")))


def recorded(bench: Bench) -> bytes:
    digests = {c.name: {what: digest_input(path, what) for what, path in files_of(c).items()} for c in bench.cases}
    return cases_table(bench, digests)


def test_a_recorded_bench_opens_as_it_was(bench: Bench) -> None:
    first, second = read_recorded(recorded(bench), "bench.parquet")
    assert (first.case.name, first.case.label, first.case.seeds) == ("a", "dog", (3,))
    shown = open_recorded(first)
    assert shown.mask is not None and shown.mask.sum() == 3 * 4 and not shown.absent
    assert shown.ground_truth is not None and shown.exemplar is not None and shown.exemplar[0, 0, 0] == 7
    boxed = open_recorded(second)
    assert boxed.mask is not None and boxed.mask.sum() == 3 * 3
    assert boxed.absent == {"ground truth": "ground truth: the bench has none"}


def test_a_file_that_changed_or_is_gone_is_not_opened(bench: Bench, tmp_path: Path) -> None:
    content = recorded(bench)
    picture(tmp_path / "e.png", value=8)
    (tmp_path / "mask.png").unlink()
    shown = open_recorded(read_recorded(content, "bench.parquet")[0])
    assert shown.exemplar is None and "is not the file that was evaluated" in shown.absent["exemplar"]
    assert shown.mask is None and str(tmp_path / "mask.png") in shown.absent["mask"]
    assert shown.source is not None


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 100])
def test_a_damaged_record_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(InputError, match=r"run/bench\.parquet: is not the bench\.parquet"):
        read_recorded(content, "run/bench.parquet")
