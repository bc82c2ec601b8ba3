"""A model of ours takes part as a method, its crop blended in two ways."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbe.edit import Editor, edit, load_editor
from pbe.editing.case import Case
from pbe.evaluation.bench.cases import Bench
from pbe.evaluation.methods.attempts import edit_cases
from pbe.evaluation.methods.by_example import UNGUIDED, describe_note
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import CaseError, Method, MethodOptions, facts_of
from pbe.evaluation.methods.random_exemplar import swap_exemplars
from pbe.weights.export import export_model
from tests.pbe.conftest import diffusers_encoder, random_model, tiny_config
from tests.pbe.editing.test_not_finite import NEAR_THE_MEAN, write_overflowing
from tests.pbe.editing.tiny_model import write_model
from tests.pbe.evaluation.methods.opened_cases import opened_case

OPTIONS = MethodOptions(steps=2, scheduler="ddim")
CASES = [opened_case(name, seed=seed) for seed, name in enumerate("abc")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("by_example") / "model", step=2000)


@pytest.fixture(scope="module")
def editor(folder: Path) -> Editor:
    return load_editor(str(folder))


def opened(spec: str, options: MethodOptions = OPTIONS) -> Any:
    [method] = open_methods([spec], options)
    return method


@pytest.fixture(scope="module")
def method(folder: Path) -> Any:
    return opened(f"pbe={folder}")


@pytest.fixture(scope="module")
def attempts(method: Any) -> list[Any]:
    return list(edit_cases(method, CASES))


def test_both_blends_are_those_of_the_editor(attempts: list[Any], editor: Editor) -> None:
    for case, pictures in zip(CASES, attempts, strict=True):
        assert list(pictures) == ["crop", "hole"]
        given: dict[str, Any] = {"seed": case.seed, "steps": 2, "scheduler": "ddim", "context": "whole"}
        for how, picture in pictures.items():
            [expected] = edit(editor, case.source, case.mask, case.exemplar, blend=how, **given)
            assert np.abs(picture.astype(int) - expected).max() <= 1  # batches round differently


def test_guidance_and_seed_of_each_case_count(method: Any, attempts: list[Any]) -> None:
    case = CASES[0]
    others = [replace(case, name="g", guidance=1.0), replace(case, name="s", seed=9), replace(case, name="e")]
    at_one, seeded, equal = edit_cases(method, others)
    assert isinstance(at_one, dict) and isinstance(seeded, dict) and isinstance(equal, dict)
    assert (at_one["hole"] != attempts[0]["hole"]).any() and (seeded["hole"] != attempts[0]["hole"]).any()
    assert np.abs(equal["hole"].astype(int) - attempts[0]["hole"]).max() <= 1


def test_what_the_export_recorded_is_said(method: Method, folder: Path) -> None:
    facts = facts_of(method)
    assert (facts.variants, facts.takes_guidance, facts.notes) == (
        ("crop", "hole"),
        True,
        ("raw weights of step 2,000", "untrained weights: vae"),
    )


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ({}, ()),
        ({"weights": "unknown", "step": None, "bottleneck": True}, ()),
        ({"weights": "ema", "step": 300_000, "bottleneck": True}, ("ema weights of step 300,000",)),
        ({"weights": "raw", "step": 30, "bottleneck": True}, ("hardly trained: raw weights of step 30",)),
        (
            {"weights": "raw", "step": 30, "bottleneck": True, "prior": True},
            ("raw weights of step 30, trained on from other weights",),
        ),
        ({"weights": "raw", "step": 0, "bottleneck": True}, ("untrained weights",)),
        ({"weights": "ema", "step": None, "bottleneck": True}, ("ema weights",)),
        (
            {"weights": "unknown", "step": 2000, "bottleneck": False},
            ("weights of step 2,000", "all of the exemplar's tokens as context"),
        ),
    ],
)
def test_hardly_trained_weights_are_called_so(note: dict[str, Any], said: tuple[str, ...]) -> None:
    assert describe_note(note) == said


def test_settings_change_with_weights_and_flags_and_not_with_the_place(
    method: Any, folder: Path, tmp_path: Path
) -> None:
    same, other = (shutil.copytree(folder, tmp_path / name) for name in ("same", "other"))
    weights = other / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    settings = facts_of(method).settings
    assert settings and settings["context"] == "whole"  # pictures of before, from other crops, are not taken for these
    velocities = facts_of(opened(f"pbe={write_model(tmp_path / 'v', step=2000, prediction='v')}"))
    assert velocities.settings["prediction"] == "v" and settings["prediction"] == "epsilon"
    assert "predicts velocities (v)" in velocities.notes
    assert facts_of(opened(f"naive={same}")).settings == settings
    assert facts_of(opened(f"pbe={other}")).settings != settings
    assert facts_of(opened(f"pbe={folder}", replace(OPTIONS, steps=3))).settings != settings


def test_rows_of_the_ablation_before_guidance_take_none(folder: Path) -> None:
    names = ("naive", "+prior", "+augmentation", "+bottleneck", "+guidance", "pbe")
    facts = [facts_of(opened(f"{name}={folder}")) for name in names]
    assert [fact.takes_guidance for fact in facts] == [False] * 4 + [True] * 2
    assert [UNGUIDED in fact.notes for fact in facts] == [True] * 4 + [False] * 2


def test_a_checkpoint_without_the_bottleneck_edits(tmp_path: Path, editor: Editor) -> None:
    model = random_model(tiny_config(bottleneck=False))
    tower = diffusers_encoder().model
    folder = tmp_path / "naive"
    export_model(folder, model.state_dict(), model.config, vae=editor.vae, tower=tower, weights="raw", step=5)
    method = opened(f"naive={folder}")
    assert method.available() == "" and "all of the exemplar's tokens as context" in method.notes
    [attempt] = edit_cases(method, CASES[:1])
    assert isinstance(attempt, dict) and (attempt["hole"] != CASES[0].source).any()


def test_a_case_whose_numbers_are_not_finite_fails_alone_and_names_the_part(editor: Editor, tmp_path: Path) -> None:
    folder = write_overflowing(editor, "exemplar encoder", tmp_path / "model", weight=6e4)
    method = opened(f"pbe={folder}", replace(OPTIONS, dtype="float16"))
    dull = np.full((8, 8, 3), NEAR_THE_MEAN, np.uint8)
    made, failed = edit_cases(method, [replace(CASES[0], exemplar=dull), CASES[1]])
    assert isinstance(made, dict) and isinstance(failed, CaseError)
    assert str(failed).startswith("the exemplar encoder gives numbers") and not failed.log


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: folder / "nowhere", "no such folder or file"),
        (lambda folder: (folder / "unet/diffusion_pytorch_model.safetensors").unlink(), "holds no weights of unet"),
        (lambda folder: (folder / "vae/diffusion_pytorch_model.safetensors").unlink(), "holds no weights of vae"),
        (lambda folder: (folder / "pbe.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "model_index.json").unlink(), "has no exemplar conditioner"),
    ],
)
def test_a_model_that_cannot_edit_is_unavailable_and_says_why(
    change: Any, reason: str, folder: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(folder, tmp_path / "model")
    place = change(copied)
    method = opened(f"pbe={place if isinstance(place, Path) else copied}")
    assert reason in method.available()
    assert facts_of(method).notes == () and facts_of(method).settings == {}


def test_weights_that_turn_out_damaged_fail_each_case_in_one_line(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "model")
    (copied / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"torn")
    for attempt in edit_cases(opened(f"pbe={copied}"), CASES):
        assert isinstance(attempt, CaseError) and "diffusion_pytorch_model.safetensors" in str(attempt)
        assert "\n" not in str(attempt) and not attempt.log


def bench_of(folder: Path) -> Bench:
    """A bench of CASES, exemplars on disk."""
    for case in CASES:
        Image.fromarray(case.exemplar).save(folder / f"{case.name}.png")
    cases = [Case(name=case.name, source="", exemplar=str(folder / f"{case.name}.png")) for case in CASES]
    return Bench("b", "cases", tuple(cases))


@pytest.fixture(scope="module")
def swapping(folder: Path) -> Any:
    return opened(f"random-exemplar={folder}")


def test_random_exemplar_paints_each_case_by_another_ones_exemplar(
    swapping: Any, editor: Editor, tmp_path: Path
) -> None:
    bench, method = bench_of(tmp_path), swapping
    assert "control: the exemplar of another case" in method.notes
    method.begin(bench)
    swapped = swap_exemplars(bench.cases)
    [attempt] = edit_cases(method, CASES[:1])
    other = next(case for case in CASES if case.name == swapped["a"].name)
    given: dict[str, Any] = {"steps": 2, "scheduler": "ddim", "blend": "crop", "context": "whole"}
    [expected] = edit(editor, CASES[0].source, CASES[0].mask, other.exemplar, **given)
    assert isinstance(attempt, dict) and np.abs(attempt["crop"].astype(int) - expected).max() <= 1


def test_a_lost_or_a_lone_exemplar_fails_its_case_alone(swapping: Any, tmp_path: Path) -> None:
    bench, method = bench_of(tmp_path), swapping
    swapped = swap_exemplars(bench.cases)
    Path(swapped["a"].exemplar).unlink()
    method.begin(bench)
    lost, *made = edit_cases(method, CASES)
    assert isinstance(lost, CaseError) and f"exemplar of {swapped['a'].name}" in str(lost)
    assert all(isinstance(attempt, dict) for attempt in made)
    method.begin(replace(bench, cases=bench.cases[:1]))
    [alone] = edit_cases(method, CASES[:1])
    assert isinstance(alone, CaseError) and str(alone) == "no other case has another exemplar"
