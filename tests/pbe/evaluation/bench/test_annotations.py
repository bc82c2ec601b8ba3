"""Labels from COCO's annotations: by the ids that a bench has, or by the box that fits."""

from pathlib import Path
from typing import Any

import pytest

from pbe.evaluation.bench.opening import open_bench
from pipeline.errors import InputError
from tests.pbe.evaluation.bench.benches import SIDE, box_mask, save, write_cocoee, write_instances

MASK = (4, 6, 12, 12)  # x y w h of `write_cocoee`


def _instance(id: int, photo: int, category: int, bbox: Any, **more: int) -> dict[str, Any]:
    return {"id": id, "image_id": photo, "category_id": category, "bbox": list(bbox), **more}


def _labels(folder: Path, annotations: Path, **flags: int) -> list[str]:
    return [case.label for case in open_bench(str(folder), annotations=str(annotations), **flags).cases]


def test_a_label_is_the_class_of_the_photos_box_that_fits_the_mask_best(tmp_path: Path) -> None:
    write_cocoee(tmp_path / "bench", [1, 2, 3, 4], listed=[1, 2, 3, 4])
    instances = [
        _instance(101, 1, 1, (5, 7, 12, 12)),
        _instance(102, 1, 2, MASK),
        _instance(103, 1, 1, MASK, iscrowd=1),
        _instance(104, 2, 1, (40, 30, 60, 60)),  # photo 2 is shown as a whole, squashed
        _instance(105, 2, 2, (150, 0, 50, 120)),
        _instance(106, 3, 2, (20 + 4, 6, 12, 12)),  # photo 3 is shown as its central square
        _instance(107, 4, 1, (0, 0, 3, 3)),
    ]
    photos = {1: (SIDE, SIDE), 2: (SIDE * 10, SIDE * 5), 3: (SIDE + 40, SIDE), 4: (SIDE, SIDE)}
    annotations = write_instances(tmp_path / "instances.json", instances, photos)
    assert _labels(tmp_path / "bench", annotations) == ["dog", "cat", "dog", ""]
    [note] = open_bench(str(tmp_path / "bench"), annotations=str(annotations)).notes
    assert note.startswith("3 of 4 cases have labels from ") and note.endswith("by boxes that fit their masks")


def test_cases_that_are_numbered_by_annotations_get_their_classes(tmp_path: Path) -> None:
    write_cocoee(tmp_path / "bench", [1, 700, 900100000002], listed=[1, 700, 900100000002])
    far = (0, 0, 2, 2)  # whatever was cut out of the photo
    instances = [_instance(1, 5, 1, far), _instance(700, 1, 2, far), _instance(900100000002, 1, 1, far, iscrowd=1)]
    annotations = write_instances(tmp_path / "instances.json", instances, {1: (9, 9), 5: (9, 9)})
    assert _labels(tmp_path / "bench", annotations) == ["cat", "dog", "cat"]
    whole = open_bench(str(tmp_path / "bench"), annotations=str(annotations)).cases
    for seed in range(3):  # a limit may leave the one whose id is a photo's, too
        limited = open_bench(str(tmp_path / "bench"), annotations=str(annotations), limit=1, seed=seed).cases
        assert {case.label for case in limited} <= {case.label for case in whole if case.name == limited[0].name}


def test_a_case_without_a_usable_mask_has_no_label(tmp_path: Path) -> None:
    write_cocoee(tmp_path / "bench", [1, 2])
    save(tmp_path / "bench/Mask_bbox_3500/000000000001_mask.png", box_mask(0, 0, 0, 0))
    (tmp_path / "bench/Mask_bbox_3500/000000000002_mask.png").unlink()
    instances = [_instance(101, photo, 1, MASK) for photo in (1, 2)]
    annotations = write_instances(tmp_path / "instances.json", instances, {1: (SIDE, SIDE), 2: (SIDE, SIDE)})
    assert _labels(tmp_path / "bench", annotations) == ["", ""]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[" * 100_000, '{"images": 3, "categories": [], "annotations": []}'], ids=range(5)
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    write_cocoee(tmp_path / "bench", [1])
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=r"a.json: is no instances file of COCO .*instances_val2017.json"):
        open_bench(str(tmp_path / "bench"), annotations=str(tmp_path / "a.json"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_cocoee(tmp_path / "bench", [1])
    with pytest.raises(InputError, match=r"--annotations .*none.json: cannot be read"):
        open_bench(str(tmp_path / "bench"), annotations=str(tmp_path / "none.json"))
