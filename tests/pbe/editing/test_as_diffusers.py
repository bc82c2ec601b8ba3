"""Compat: latents and pictures of diffusers' own pipeline, for the same weights and seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pbe.editing.as_diffusers import prepare_as_diffusers
from pbe.editing.editor import Editor, denoise, load_editor, paint
from pipeline.errors import InputError
from tests.pbe.conftest import deprecated
from tests.pbe.editing.tiny_model import random_picture, write_model


def _open(folder: Path) -> Any:
    pipeline = deprecated.PaintByExamplePipeline.from_pretrained(str(folder))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def oracle(folder: Path) -> Any:
    return _open(folder)


def _mask(height: int, width: int) -> Any:
    mask = np.zeros((height, width), bool)
    mask[3 : height // 2, 5 : width - 2] = True
    return mask


@pytest.mark.heavy
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**31),
    st.sampled_from([1.0, 1.5, 5.0]),
    st.integers(1, 3),
    st.tuples(st.integers(2, 6), st.integers(2, 6)),
    st.integers(3, 25),
)
def test_latents_are_those_of_diffusers_pipeline(
    editor: Editor, oracle: Any, seed: int, guidance: float, n: int, eighths: tuple[int, int], steps: int
) -> None:
    size = (8 * eighths[0], 8 * eighths[1])
    found, expected = _latents(editor, oracle, size, seed=seed, guidance=guidance, n=n, steps=steps)
    assert (found - expected).abs().max() <= 1e-5


def test_latents_of_a_model_of_velocities_are_those_of_diffusers_pipeline(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "v", prediction="v")
    editor = load_editor(str(folder))
    found, expected = _latents(editor, _open(folder), (24, 16), seed=3, guidance=5.0, n=2, steps=5)
    assert torch.equal(found, expected)


def _latents(
    editor: Editor, oracle: Any, size: tuple[int, int], *, seed: int, guidance: float, n: int, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [n, c, h, w] of our --compat, and of diffusers' pipeline."""
    source, mask, exemplar = random_picture(*size), _mask(*size), random_picture(50, 70, seed=1)
    expected = oracle(
        example_image=Image.fromarray(exemplar),
        image=Image.fromarray(source),
        mask_image=Image.fromarray(mask),
        guidance_scale=guidance,
        num_inference_steps=steps,
        num_images_per_prompt=n,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="latent",
    ).images
    task = prepare_as_diffusers(editor, source, mask, exemplar, seed=seed, n=n)
    found = denoise(editor, [(task, row) for row in range(n)], guidance=guidance, steps=steps, scheduler="pndm")
    return found, expected


@pytest.mark.heavy
def test_pictures_are_those_of_diffusers_pipeline(editor: Editor, oracle: Any) -> None:
    source, mask, exemplar = random_picture(24, 32), _mask(24, 32), random_picture(50, 70, seed=1)
    [expected] = oracle(
        example_image=Image.fromarray(exemplar),
        image=Image.fromarray(source),
        mask_image=Image.fromarray(mask),
        generator=torch.Generator("cpu").manual_seed(3),
    ).images
    task = prepare_as_diffusers(editor, source, mask, exemplar, seed=3, n=1)
    [[found]] = paint(editor, [task], guidance=5, steps=50, scheduler="pndm", how="crop")
    assert np.abs(found.pixels.astype(int) - np.asarray(expected)).max() <= 1


def test_a_source_that_diffusers_would_refuse_is_refused(editor: Editor) -> None:
    with pytest.raises(InputError, match=r"20 x 24 px.*multiples of 8"):
        prepare_as_diffusers(editor, random_picture(24, 20), _mask(24, 20), random_picture(9, 9), seed=0, n=1)
