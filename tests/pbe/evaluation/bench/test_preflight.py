"""All that is wrong with a bench is named before anything is sampled."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.editing.case_checks import refuse_faults
from pbe.evaluation.bench.cases import open_case
from pbe.evaluation.bench.opening import open_bench
from pbe.evaluation.bench.preflight import check_bench
from pipeline.errors import InputError
from tests.pbe.evaluation.bench.benches import SIDE, box_mask, picture, save, write_cocoee, write_table

ALL = "name,source,mask,exemplar,ground_truth,exemplar_mask,label"


def test_each_fault_of_a_folder_is_named_with_its_case(tmp_path: Path) -> None:
    write_cocoee(tmp_path, range(1, 8), listed=[1, 2, 3, 4, 5, 6, 7, 7, 9])
    (tmp_path / "Ref_3500/000000000001_ref.png").unlink()
    save(tmp_path / "Mask_bbox_3500/000000000002_mask.png", box_mask(0, 0, 9, 9, 30, 12))
    save(tmp_path / "Mask_bbox_3500/000000000003_mask.png", np.zeros((SIDE, SIDE), np.uint8))
    (tmp_path / "GT_3500/000000000004_GT.png").write_text("no picture")
    faults = check_bench(open_bench(str(tmp_path)))
    expected = [
        "2 cases are named 000000000007; list each once",
        "000000000001_ref.png: cannot be read (no such file); give an existing file or URL (case 000000000001)",
        "000000000002_mask.png: 30 x 12 px for a source of 24 x 24; make it on the source (case 000000000002)",
        "000000000003_mask.png: is not a mask as it stands: nothing of it is white",
        "000000000004_GT.png: cannot be read as a picture",
        "000000000009_GT.png: cannot be read (no such file)",
        "000000000009_mask.png: cannot be read (no such file)",
        "000000000009_ref.png: cannot be read (no such file)",
    ]
    for fault, part in zip(faults, expected, strict=True):
        assert part in fault
    with pytest.raises(InputError, match=r"8 mistakes; nothing was made:"):
        refuse_faults(faults, place="--bench")


def test_pictures_that_are_cut_short_are_named_although_their_headers_are_whole(tmp_path: Path) -> None:
    write_cocoee(tmp_path, range(1, 5))
    cut = ["GT_3500/000000000001_GT.png", "Ref_3500/000000000002_ref.png", "Mask_bbox_3500/000000000003_mask.png"]
    for name in cut:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-40])
    opened: list[int] = []
    faults = sorted(check_bench(open_bench(str(tmp_path)), progress=opened.append), key=lambda fault: fault[-3:])
    for fault, name in zip(faults, cut, strict=True):
        assert f"{name}: cannot be read as a picture (truncated" in fault
        assert f"(case {name.split('/')[1].split('_')[0]})" in fault
    assert opened == [1, 2, 3]  # the mask was judged before


def test_each_fault_of_a_table_is_named(tmp_path: Path) -> None:
    rows = [
        "a,source.png,mask.png,exemplar.png,gone.png,,",
        "b,source.png,mask.png,exemplar.png,small.png,,",
        "c,source.png,mask.png,exemplar.png,source.png,mask.png,",
        "A,source.png,mask.png,exemplar.png,source.png,gone.png,",
        "../d,source.png,mask.png,exemplar.png,,,",
        "e,source.png,mask.png,exemplar.png,nowhere://f.png,,",
    ]
    table = write_table(tmp_path, rows, ALL)
    save(tmp_path / "small.png", picture(3, 20, 24))
    faults = check_bench(open_bench(str(table)))
    expected = [
        "cases.csv line 6: name '../d'",
        "2 cases are named a and A",
        "gone.png: cannot be read (no such file); give an existing file or URL (case a)",
        "small.png: 20 x 24 px for a source of 24 x 24 px; make it at that size (case b)",
        "of the exemplar, mask ",
        "of the exemplar, mask ",
        "nowhere://f.png: Protocol not known: nowhere",
    ]
    for fault, part in zip(faults, expected, strict=True):
        assert part in fault
    assert "mask.png: 24 x 24 px for a source of 10 x 14" in faults[4] and "gone.png" in faults[5]


def test_grey_and_cmyk_pictures_pass_and_open_as_srgb(tmp_path: Path) -> None:
    table = write_table(tmp_path, ["a,source.jpg,mask.png,exemplar.png,grey.png,outline.png,a dog"], ALL)
    cmyk = Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0))
    cmyk.save(tmp_path / "source.jpg")
    save(tmp_path / "grey.png", picture(4)[..., 0])
    save(tmp_path / "outline.png", box_mask(0, 0, 5, 14, 10, 14))
    bench = open_bench(str(table))
    assert check_bench(bench) == []
    opened = open_case(bench.cases[0])
    assert opened.source.shape == opened.ground_truth.shape == (SIDE, SIDE, 3)  # type: ignore[union-attr]
    assert opened.source[0, 0, 0] > 200 > 60 > opened.source[0, 0, 1]  # red
    assert (
        opened.exemplar_mask is not None and opened.exemplar_mask[:, :5].all() and not opened.exemplar_mask[:, 5:].any()
    )
    assert opened.label == "a dog"


def test_a_ground_truth_of_another_size_is_also_refused_where_it_is_opened(tmp_path: Path) -> None:
    table = write_table(
        tmp_path, ["a,source.png,mask.png,exemplar.png,exemplar.png"], ALL.removesuffix(",exemplar_mask,label")
    )
    with pytest.raises(InputError, match=r"10 x 14 px for a source of 24 x 24"):
        open_case(open_bench(str(table)).cases[0])


def test_the_published_triples_are_a_bench_of_three_cases(real_data: Path, tmp_path: Path) -> None:
    shutil.copytree(real_data / "pbe_examples/examples", tmp_path / "bench")
    rows = [
        f"example_{n},image/example_{n}.png,mask/example_{n}.png,reference/example_{n}.jpg,image/example_{n}.png"
        for n in (1, 2, 3)
    ]
    table = tmp_path / "bench/cases.csv"
    table.write_text("\n".join(["name,source,mask,exemplar,ground_truth", *rows]))
    bench = open_bench(str(table))
    assert check_bench(bench) == []
    opened = [open_case(case) for case in bench.cases]
    assert [case.source.shape for case in opened] == [(512, 512, 3)] * 3
    assert all(0 < case.mask.mean() < 0.5 for case in opened)
