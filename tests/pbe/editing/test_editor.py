"""Editing by function: what comes out, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbe.edit import Editor, edit
from pipeline.errors import InputError
from tests.pbe.editing.tiny_model import random_picture


def test_pictures_have_the_sources_size_and_differ_by_seed(editor: Editor, pictures: dict[str, Path]) -> None:
    given = [str(path) for path in pictures.values()]
    made = edit(editor, *given, n=3, steps=2, scheduler="ddim", seed=4)
    again = edit(editor, *given, n=1, steps=2, scheduler="ddim", seed=5)
    assert [picture.shape for picture in made] == [(40, 56, 3)] * 3
    assert len({picture.tobytes() for picture in made}) == 3
    assert np.abs(made[1].astype(int) - again[0]).max() <= 1  # another batch size may round otherwise


def test_paths_images_and_arrays_give_the_same_picture(editor: Editor, pictures: dict[str, Path]) -> None:
    images = [Image.open(path) for path in pictures.values()]
    arrays = [np.asarray(image) for image in images]
    made = [edit(editor, *given, steps=2)[0] for given in (list(map(str, pictures.values())), images, arrays)]
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])


def test_the_exemplar_decides_what_is_painted(editor: Editor, pictures: dict[str, Path]) -> None:
    source, mask = str(pictures["source"]), str(pictures["mask"])
    one, other = (edit(editor, source, mask, random_picture(20, 20, seed=seed), steps=2)[0] for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_a_box_is_its_rectangle_as_a_mask(editor: Editor, pictures: dict[str, Path]) -> None:
    source, mask, exemplar = (str(pictures[name]) for name in ("source", "mask", "exemplar"))
    [expected] = edit(editor, source, mask, exemplar, steps=2)
    for box in ((16, 10, 36, 24), np.array([16, 10, 36, 24]), "16,10,36,24"):
        [found] = edit(editor, source, exemplar=exemplar, box=box, steps=2)
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(("guidance", "halves"), [(1, 1), (5, 2)])
def test_what_comes_before_the_exemplar_is_computed_once_a_picture(
    editor: Editor, pictures: dict[str, Path], guidance: float, halves: int
) -> None:
    rows: dict[str, set[int]] = {"conv1": set(), "proj_out": set()}
    first = editor.parts.model.unet.down_blocks[0]
    watches = [
        module.register_forward_hook(lambda _, inputs, __, name=name: rows[name].add(len(inputs[0])))
        for name, module in (("conv1", first.resnets[0].conv1), ("proj_out", first.attentions[0].proj_out))
    ]
    edit(editor, pictures["source"], pictures["mask"], pictures["exemplar"], n=3, steps=2, guidance=guidance)
    for watch in watches:
        watch.remove()
    assert rows == {"conv1": {3}, "proj_out": {3 * halves}}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "zero one"])
def test_masks_of_any_mode_mean_the_same(editor: Editor, pictures: dict[str, Path], tmp_path: Path, mode: str) -> None:
    mask = Image.open(pictures["mask"])
    if mode == "I;16":
        turned = Image.fromarray(np.asarray(mask).astype(np.uint16) * 257)
    elif mode == "zero one":
        turned = Image.fromarray((np.asarray(mask) > 0).astype(np.uint8))
    else:
        turned = mask.convert(mode)
    turned.save(tmp_path / "mask.png")
    given = (str(pictures["source"]), str(pictures["exemplar"]))
    expected, found = (
        edit(editor, given[0], str(path), given[1], steps=2)[0] for path in (pictures["mask"], tmp_path / "mask.png")
    )
    assert np.array_equal(expected, found)


@pytest.mark.parametrize(
    "changed",
    [
        {"scheduler": "euler"},
        {"blend": "past"},
        {"steps": 2.5},
        {"n": 1.5},
        {"seed": None},
        {"guidance": "5"},
        {"source": [[1]]},
        {"source": np.zeros((0, 9, 3), np.uint8)},
        {"exemplar": np.zeros((0, 0, 3), np.uint8)},
        {"mask": np.zeros((0, 0), bool)},
        {"mask": None},
        {"exemplar": None},
        {"box": (0, 0, 9, 9)},
        {"box": (0, 0, 57, 9), "mask": None},
        {"box": (0, 0, 9), "mask": None},
        {"box": (0, 0, 9.5, 9), "mask": None},
        {"box": 9, "mask": None},
        {"mask": np.full((40, 56), np.nan, np.float32)},
        {"mask": np.full((40, 56), 1.5, np.float32)},
        {"mask": np.full((40, 56), -1)},
        {"mask": np.ones((1, 40, 56), bool)},
    ],
)
def test_the_function_refuses_what_it_cannot_use(
    editor: Editor, pictures: dict[str, Path], changed: dict[str, Any]
) -> None:
    given: dict[str, Any] = {name: str(path) for name, path in pictures.items()}
    with pytest.raises(InputError, match=next(iter(changed))):
        edit(editor, **{**given, "steps": 2, **changed})
