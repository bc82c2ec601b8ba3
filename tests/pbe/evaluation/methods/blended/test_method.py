"""Blended Diffusion as a method: what it paints and keeps, what it needs, and what a case may lack."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pbe.evaluation.methods.blended.method import BlendedDiffusion, blended_image, blended_text
from pbe.evaluation.methods.protocol import CaseError, Method, MethodOptions
from pipeline.arrays import Hole
from tests.pbe.editing.tiny_model import random_picture
from tests.pbe.evaluation.methods.blended.tiny_models import write_adm, write_clip
from tests.pbe.evaluation.methods.opened_cases import opened_case

Open = Callable[..., BlendedDiffusion]
BOTH = pytest.mark.parametrize("maker", [blended_text, blended_image])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("blended")
    return write_adm(folder / "adm.pt"), write_clip(folder / "clip")


@pytest.fixture(scope="module")
def open_short(weights: tuple[Path, Path]) -> Open:
    """Open a method that takes 4 steps."""

    def opening(maker: Open, adm: Path = weights[0], clip: Path = weights[1], **options: str) -> BlendedDiffusion:
        method = maker("blended", f"{adm},{clip}", MethodOptions(**options))
        method.steps = (5, 1)
        return method

    return opening


@pytest.mark.heavy
@BOTH
def test_the_hole_is_painted_and_all_else_is_the_sources_whatever_is_edited_with_it(
    maker: Open, open_short: Open
) -> None:
    cases = [
        opened_case("wide"),
        opened_case("high", height=61, width=17, mask=_rectangle(61, 17)),
        opened_case("square", height=16, width=16, mask=_rectangle(16, 16)),
    ]
    together = open_short(maker).edit(cases)
    for case, painted in zip(cases, together, strict=True):
        assert isinstance(painted, np.ndarray)
        assert painted.shape == case.source.shape and painted.dtype == np.uint8
        assert (painted == case.source)[~case.mask].all()
        assert (painted != case.source)[case.mask].any(axis=1).mean() > 0.9
    fresh = open_short(maker)
    [alone] = fresh.edit(cases[1:2])
    [again] = fresh.edit([cases[1]])
    assert np.array_equal(alone, together[1]) and np.array_equal(again, together[1])


@BOTH
def test_another_seed_paints_something_else(maker: Open, open_short: Open) -> None:
    case, method = opened_case("a"), open_short(maker)
    one, other = (method.edit([replace(case, seed=seed)])[0] for seed in (0, 2**62))
    assert not np.array_equal(one, other)


def test_a_text_needs_a_label_and_fails_the_case_without_one_alone(open_short: Open) -> None:
    painted = open_short(blended_text).edit([opened_case("a", label=" "), opened_case("b")])
    assert isinstance(painted[0], CaseError) and "label" in str(painted[0])
    assert isinstance(painted[1], np.ndarray)
    [without] = open_short(blended_image).edit([opened_case("a", label="")])
    assert isinstance(without, np.ndarray)


def test_the_text_follows_the_label_and_the_image_the_exemplar(open_short: Open) -> None:
    case = opened_case("a")
    other_label, other_exemplar = replace(case, label="cat"), replace(case, exemplar=random_picture(30, 20, seed=9))
    text, relabelled, same = open_short(blended_text).edit([case, other_label, other_exemplar])
    assert not np.array_equal(text, relabelled) and np.array_equal(text, same)
    image, same, shown = open_short(blended_image).edit([case, other_label, other_exemplar])
    assert not np.array_equal(image, shown) and np.array_equal(image, same)


def test_numbers_that_are_not_finite_fail_the_case_in_words(open_short: Open, weights: tuple[Path, Path]) -> None:
    method = open_short(blended_image)
    method._models().clip.model.visual_projection.weight.data.fill_(torch.nan)
    [failed] = method.edit([opened_case("a")])
    assert isinstance(failed, CaseError) and "CLIP vision tower gives numbers that are not finite" in str(failed)


@BOTH
def test_it_can_run_where_both_models_are_and_says_what_it_is(maker: Open, open_short: Open) -> None:
    method = open_short(maker)
    assert isinstance(method, Method) and method.available() == ""
    assert any("upscaled" in note for note in method.notes) and "untrained weights: CLIP" in method.notes
    assert "guided by CLIP ViT-32x1-16/8 at 16 px; the paper's is CLIP ViT-B/16" in method.notes
    assert ("no public code has this variant: our reading of the paper's" in method.notes) == (maker is blended_image)


@pytest.mark.parametrize("text", ["adm.pt", "adm.pt,", ",clip", " , ", "adm.pt;clip"])
def test_weights_that_do_not_name_both_are_a_reason_that_says_what_both_are(text: str) -> None:
    assert (
        "is not both of ADM,CLIP: 256x256_diffusion_uncond.pt and"
        in blended_text("a", text, MethodOptions()).available()
    )


@BOTH
def test_each_missing_file_is_a_reason_and_nothing_is_loaded(
    maker: Open, open_short: Open, weights: tuple[Path, Path], tmp_path: Path
) -> None:
    for fault, says in FAULTS.items():
        clip = Path(shutil.copytree(weights[1], tmp_path / fault))
        method = open_short(maker, clip=clip)
        assert method.available() == ""
        _break(clip, fault)
        reason = open_short(maker, clip=clip).available()
        texts_only = fault == "vocab.json"
        assert (says in reason and str(clip) in reason) if maker is blended_text or not texts_only else reason == ""
    strange = {
        "gone.pt": "no such file",
        "clip": "no such file",
        "clip/config.json": "ends not in",
        "a" * 300: "too long",
    }
    for adm, says in strange.items():
        absent = open_short(maker, adm=weights[0].parent / adm)
        assert says in absent.available() and adm in absent.available()
        assert absent.settings == {} and absent.notes


FAULTS = {
    "vocab.json": "has no tokenizer (vocab.json and merges.txt)",
    "model.safetensors": "holds no config.json with weights beside it",
    "config.json": "holds no config.json with weights beside it",
    "type": "model type siglip, not a complete CLIP",
    "folder": "no such folder or file",
}


def _break(clip: Path, fault: str) -> None:
    if fault == "folder":
        shutil.rmtree(clip)
    elif fault == "type":
        config = json.loads((clip / "config.json").read_text())
        (clip / "config.json").write_text(json.dumps({**config, "model_type": "siglip"}))
    else:
        (clip / fault).unlink()


def test_settings_change_with_any_byte_of_the_weights_and_not_with_their_place(
    open_short: Open, weights: tuple[Path, Path], tmp_path: Path
) -> None:
    known = open_short(blended_image).settings
    assert blended_image("a", f"{weights[0]},{weights[1]}", MethodOptions()).settings == {**known, "steps": [100, 25]}
    adm, clip = Path(shutil.copy(weights[0], tmp_path)), Path(shutil.copytree(weights[1], tmp_path / "copy"))
    assert open_short(blended_image, adm=adm, clip=clip).settings == known
    assert open_short(blended_image, dtype="bfloat16").settings != known
    write_adm(adm, seed=1)
    moved = open_short(blended_image, adm=adm, clip=clip).settings
    assert (moved["adm"] != known["adm"], moved["clip"] == known["clip"]) == (True, True)
    (clip / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    assert open_short(blended_image, adm=adm, clip=clip).settings["clip"] != known["clip"]


def _rectangle(height: int, width: int) -> Hole:
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 3 : -width // 3] = True
    return mask
