"""diffusers' inpainting takes part as a method that paints what a label says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from pbe.evaluation.methods.attempts import edit_cases
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import CaseError, MethodOptions, facts_of
from tests.pbe.editing.tiny_model import write_model
from tests.pbe.evaluation.methods.opened_cases import opened_case
from tests.pbe.evaluation.methods.tiny_stable_diffusion import SIZE, write_pipeline

OPTIONS = MethodOptions(steps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("stable_diffusion"))


def opened(place: Path) -> Any:
    [method] = open_methods([f"sd-inpaint={place}"], OPTIONS)
    return method


@pytest.fixture(scope="module")
def method(folder: Path) -> Any:
    return opened(folder)


def test_it_paints_what_diffusers_paints_for_a_photo_of_the_label(method: Any, folder: Path) -> None:
    hole = np.zeros((SIZE, SIZE), bool)
    hole[5:11, 4:12] = True
    case = opened_case(height=SIZE, width=SIZE, mask=hole, label=" dog ", seed=3)
    [attempt] = edit_cases(method, [case])
    pipeline = diffusers.StableDiffusionInpaintPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    [expected] = pipeline(
        "a photo of dog",
        image=Image.fromarray(case.source),
        mask_image=Image.fromarray(hole),
        num_inference_steps=2,
        height=SIZE,
        width=SIZE,
        generator=torch.Generator().manual_seed(3),
    ).images
    assert isinstance(attempt, dict) and np.abs(attempt["crop"].astype(int) - expected).max() <= 1


def test_label_and_seed_count_and_the_cases_beside_do_not(method: Any) -> None:
    case = opened_case(height=45, width=57)
    cases = [case, replace(case, name="b", label="cat"), replace(case, name="c", seed=1), replace(case, name="d")]
    one, other, seeded, same = edit_cases(method, cases)
    [alone] = edit_cases(method, [case])
    assert isinstance(one, dict) and isinstance(other, dict) and isinstance(seeded, dict) and isinstance(same, dict)
    assert isinstance(alone, dict)
    for how in ("crop", "hole"):
        assert one[how].shape == case.source.shape
        assert (one[how] != other[how]).any() and (one[how] != seeded[how]).any()
        for equal in (same, alone):
            assert np.abs(one[how].astype(int) - equal[how]).max() <= 1


def test_a_case_without_a_label_fails_alone(method: Any) -> None:
    made, failed = edit_cases(method, [opened_case(), opened_case("b", label=" ")])
    assert isinstance(made, dict) and isinstance(failed, CaseError) and str(failed).startswith("has no label")


def test_numbers_that_are_not_finite_are_never_painted(tmp_path: Path) -> None:
    method = opened(write_pipeline(tmp_path))
    method._pipeline().vae.decoder.conv_out.weight.data.fill_(torch.nan)
    [failed] = edit_cases(method, [opened_case()])
    assert isinstance(failed, CaseError) and "not finite" in str(failed)


def test_what_it_says_of_itself(method: Any) -> None:
    facts = facts_of(method)
    assert facts.variants == ("crop", "hole") and not facts.takes_guidance and not method.available()
    assert facts.notes == ("text: a photo of LABEL; guidance 7.5", "untrained weights: unet, vae, text_encoder")
    assert facts.settings and facts.settings["weights"]


def test_what_is_no_inpainting_pipeline_is_unavailable_and_says_why(tmp_path: Path) -> None:
    for place, reason in {
        tmp_path / "nowhere": "no such folder or file",
        write_pipeline(tmp_path / "four", in_channels=4): "its UNet takes 4 channels, not 9",
        write_model(tmp_path / "pbe"): "holds no text_encoder, tokenizer",
    }.items():
        assert reason in opened(place).available() and facts_of(opened(place)).settings == {}
    checkpoint = tmp_path / "model.ckpt"
    checkpoint.touch()
    assert "is a file; give diffusers' folder" in opened(checkpoint).available()
