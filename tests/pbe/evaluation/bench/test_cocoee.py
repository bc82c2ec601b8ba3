"""COCOEE's layout is read exactly, and nothing of a folder is passed over without a word."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbe.evaluation.bench.cases import open_case
from pbe.evaluation.bench.cocoee import list_cocoee
from pbe.evaluation.bench.opening import open_bench
from pipeline.errors import InputError
from tests.pbe.evaluation.bench.benches import SIDE, box_mask, picture, save, write_cocoee


@pytest.mark.parametrize("inside", ["", "test_bench"])
@pytest.mark.parametrize("number", ["_3500", "_2", ""])
def test_a_case_is_its_ground_truth_reference_and_mask(tmp_path: Path, inside: str, number: str) -> None:
    write_cocoee(tmp_path / "bench" / inside, [7, 900100376112], listed=[900100376112, 7], number=number)
    bench = open_bench(str(tmp_path / "bench"))
    assert [case.name for case in bench.cases] == ["900100376112", "000000000007"]
    assert (bench.name, bench.kind, bench.notes, bench.shares_exemplar) == ("bench", "cocoee", (), False)
    opened = open_case(bench.cases[0])
    np.testing.assert_array_equal(opened.source, picture(1))
    np.testing.assert_array_equal(opened.ground_truth, opened.source)
    opened.source[:] = 0  # as a method may
    np.testing.assert_array_equal(opened.ground_truth, picture(1))
    np.testing.assert_array_equal(opened.exemplar, picture(1001, 10, 14))
    np.testing.assert_array_equal(opened.mask, box_mask(4, 6, 16, 18) > 0)
    assert opened.exemplar_mask is None and opened.label == ""


def test_a_mask_that_is_not_binary_is_cut_at_half(tmp_path: Path) -> None:
    write_cocoee(tmp_path, [1])
    mask = box_mask(4, 6, 16, 18)
    mask[6], mask[7] = 128, 127
    save(tmp_path / "Mask_bbox_3500/000000000001_mask.png", mask)
    [case] = open_bench(str(tmp_path)).cases
    hole = open_case(case).mask
    assert hole[6].all() and not hole[7].any()


def test_without_a_list_the_ids_are_those_of_the_files(tmp_path: Path) -> None:
    write_cocoee(tmp_path, [30, 4])
    (tmp_path / "Ref_3500/000000000030_ref.png").unlink()
    assert [case.name for case in open_bench(str(tmp_path)).cases] == ["000000000004", "000000000030"]


def test_files_that_belong_to_no_case_are_noted(tmp_path: Path) -> None:
    write_cocoee(tmp_path, range(1, 7), listed=[1])
    save(tmp_path / "GT_3500/7_GT.png", picture(0))
    save(tmp_path / "Ref_3500/.hidden.png", picture(0))
    unlisted, others = open_bench(str(tmp_path)).notes
    assert unlisted.startswith("5 ids have files and are not in id_list.npy: 000000000002, ")
    assert unlisted.endswith("000000000004 and 2 more")
    assert others == "1 files have no name of the layout: GT_3500/7_GT.png"


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (np.array([{"a": 1}], object), "is not a list of ids (Object arrays cannot be loaded"),
        (np.array([1.5]), r"holds float64 \[1\]; give one row of whole numbers"),
        (np.array([[1, 2]]), r"holds int64 \[1, 2\]; give one row"),
        (np.array([-3]), "holds the id -3; ids begin at 0"),
        (np.array([], np.int64), "lists no case; the layout is"),
    ],
)
def test_a_list_of_something_else_is_refused(tmp_path: Path, ids: Any, expected: str) -> None:
    write_cocoee(tmp_path, [1])
    np.save(tmp_path / "id_list.npy", ids, allow_pickle=True)
    with pytest.raises(InputError, match=expected.replace("(", r"\(")):
        list_cocoee(str(tmp_path), seed=0)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': [[['u8"], ids=range(4)
)
def test_a_list_that_is_cut_short_is_refused(tmp_path: Path, content: bytes) -> None:
    write_cocoee(tmp_path, [1])
    (tmp_path / "id_list.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"id_list.npy: (is not a list of ids|holds)"):
        list_cocoee(str(tmp_path), seed=0)


def test_a_folder_of_another_form_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder, or an empty one"):
        open_bench(str(tmp_path / "none"))
    save(tmp_path / "other/a.png", picture(0))
    with pytest.raises(InputError, match=r"has no folder GT_3500, or GT; for a table .* give its CSV"):
        open_bench(str(tmp_path / "other"))
    write_cocoee(tmp_path / "two", [1])
    write_cocoee(tmp_path / "two", [1], number="_7")
    with pytest.raises(InputError, match=r"holds GT_3500 and GT_7; leave one"):
        open_bench(str(tmp_path / "two"))


def test_the_published_list_of_ids_is_read(real_data: Path, tmp_path: Path) -> None:
    write_cocoee(tmp_path, [1773])
    (tmp_path / "id_list.npy").write_bytes((real_data / "pbe_examples/test_bench/id_list.npy").read_bytes())
    bench = open_bench(str(tmp_path))
    assert bench.name == "COCOEE" and len({case.seeds for case in bench.cases}) == len(bench.cases) == 3500
    assert open_case(bench.cases[0]).source.shape == (SIDE, SIDE, 3)
