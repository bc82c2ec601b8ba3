"""A model whose numbers leave their precision's range paints nothing, and says which part of it failed."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pbe.edit import Editor, edit, main
from pbe.editing.as_diffusers import prepare_as_diffusers
from pbe.editing.editor import paint, prepare
from pbe.model.finite import NotFiniteError
from pbe.weights.export import export_model
from pbe.weights.parts import Parts
from tests.pbe.editing.commands import cases_flags, edit_flags
from tests.pbe.editing.tiny_model import random_picture

NEAR_THE_MEAN = (123, 117, 104)  # of the pictures that CLIP knows: almost zero once it is normalised

# Of each part: weights that are finite, with which its numbers are not.
OVERFLOWING: dict[str, Callable[[Parts], Any]] = {
    "VAE's encoder": lambda parts: parts.vae.quant_conv.weight,
    "exemplar encoder": lambda parts: getattr(
        parts.tower, "vision_model", parts.tower
    ).embeddings.patch_embedding.weight[0],
    "conditioner": lambda parts: parts.model.conditioner.proj_out.weight,
    "UNet": lambda parts: parts.model.unet.conv_out.weight,
    "VAE's decoder": lambda parts: parts.vae.decoder.conv_out.weight,
}
WITH_DTYPES = {"float32": "get them again", "bfloat16": "try --dtype float32"}


def overflowing(editor: Editor, part: str, *, dtype: str = "float32", weight: float = 3e38) -> Editor:
    parts = copy.deepcopy(editor.parts)
    OVERFLOWING[part](parts).data.fill_(weight)
    for module in (parts.model, parts.vae, parts.tower):
        module.to(getattr(torch, dtype))
    return replace(editor, parts=parts)


@pytest.mark.parametrize("dtype", WITH_DTYPES)
@pytest.mark.parametrize("part", OVERFLOWING)
def test_the_part_that_overflows_is_named_with_what_to_try(editor: Editor, part: str, dtype: str) -> None:
    given = overflowing(editor, part, dtype=dtype)
    mask = np.zeros((40, 56), bool)
    mask[10:24, 16:36] = True
    source, exemplar = random_picture(40, 56), random_picture(30, 20, seed=1)
    with pytest.raises(NotFiniteError, match=f"^the {part} gives .* not finite in {dtype}.*{WITH_DTYPES[dtype]}"):
        edit(given, source, mask, exemplar, steps=2, scheduler="ddim")
    if part not in ("UNet", "VAE's decoder"):
        with pytest.raises(NotFiniteError, match=f"^the {part} gives"):
            prepare_as_diffusers(given, source, mask, exemplar, seed=0, n=1)


def test_a_picture_that_is_not_finite_fails_its_own_task_alone(editor: Editor) -> None:
    source, mask = random_picture(40, 56), np.ones((40, 56), bool)
    tasks = [prepare(editor, source, mask, random_picture(30, 20, seed=seed), seeds=(seed, 9)) for seed in range(3)]
    how: dict[str, Any] = {"guidance": 5.0, "steps": 2, "scheduler": "ddim", "how": "hole"}
    sound = paint(editor, tasks, **how)
    noise = tasks[1].noise.clone()
    noise[1, 0, 0, 0] = torch.inf
    made = paint(editor, [tasks[0], replace(tasks[1], noise=noise), tasks[2]], **how)
    assert isinstance(made[1], NotFiniteError) and made[1].part == "UNet"
    for number in (0, 2):
        assert not isinstance(made[number], NotFiniteError)
        for one, other in zip(made[number], sound[number], strict=True):
            assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.heavy
def test_a_picture_by_command_that_is_not_finite_is_not_written(
    editor: Editor, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_overflowing(editor, "VAE's decoder", tmp_path / "model")
    for more in ((), ("--guidance", "1,5", "--n", "2"), ("--compat",)):
        assert main(edit_flags(model, pictures, tmp_path / "out" / "a.png", *more)) == 1
        said = capsys.readouterr().out
        assert "a: the VAE's decoder gives numbers that are not finite in float32" in said and "look at" not in said
    assert not (tmp_path / "out").exists()


def test_a_case_on_which_the_model_fails_leaves_no_record_and_the_others_are_made(
    editor: Editor, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_overflowing(editor, "exemplar encoder", tmp_path / "model", weight=6e4)
    folder = pictures["source"].parent
    Image.new("RGB", (30, 20), NEAR_THE_MEAN).save(folder / "dull.png")
    table = folder / "cases.csv"
    rows = ["source,mask,exemplar,name", "source.png,mask.png,exemplar.png,a", "source.png,mask.png,dull.png,b"]
    table.write_text("\n".join(rows))
    for made in ("1 made, 1 failed", "1 were finished, 0 made, 1 failed"):
        assert main(cases_flags(model, table, tmp_path / "out", "--dtype", "float16")) == 1
        said = capsys.readouterr().out
        assert "a: the exemplar encoder gives" in said and "try --dtype float32" in said and made in said
        assert {path.name for path in (tmp_path / "out").iterdir()} >= {"b.png", "b.json"}
        assert not list((tmp_path / "out").glob("a*"))


def write_overflowing(editor: Editor, part: str, out: Path, **weight: float) -> Path:
    parts = overflowing(editor, part, **weight).parts
    state, config = parts.model.state_dict(), parts.model.config
    export_model(out, state, config, vae=parts.vae, tower=parts.tower, weights="raw", step=7)
    return out
