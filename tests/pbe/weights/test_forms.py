"""Every command reads weights in every form that is written, by one reader."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import transformers

from pbe.convert import main as convert
from pbe.editing.checks import check_model
from pbe.editing.config import EditConfig
from pbe.training.config import TrainConfig
from pbe.training.frozen import load_frozen
from pbe.weights.building import build_tower, initialise, model_to_start
from pbe.weights.parts import load_parts
from pbe.weights.reading import read_weights
from pipeline.encoders.facts import read_clip_facts, read_vae_facts, stamp_weights
from pipeline.encoders.loading import load_encoders
from pipeline.errors import InputError
from tests.pbe.conftest import assert_same, clip_config, tiny_config, tiny_vae
from tests.pbe.editing.tiny_model import write_model
from tests.pbe.weights.forms import FORMS, rewrite_part

Tensors = dict[str, torch.Tensor]
PARTS = ("unet", "vae", "image_encoder")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete pipeline in plain safetensors; tests copy it."""
    return write_model(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="module")
def expected(plain: Path) -> dict[str, Tensors]:
    """The tensors of its parts, and the fingerprints of its encoders."""
    weights = read_weights(str(plain))
    return {"unet": dict(weights.unet), "vae": dict(weights.vae), "tower": build_tower(weights).state_dict()}


@pytest.fixture(scope="module")
def fingerprints(plain: Path) -> list[str]:
    return [encoder.fingerprint for encoder in load_encoders(str(plain), str(plain), device="cpu", dtype="float32")]


def _copy(plain: Path, place: Path, form: str) -> Path:
    shutil.copytree(plain, place)
    for part in PARTS:
        rewrite_part(place / part, form)
    return place


def _train(model: str, vae: str, clip: str, out: Path, fingerprints: list[str]) -> dict[str, Any]:
    """Load encoders as the shard job, pairs and browse do, then all as the trainer does."""
    assert read_vae_facts(vae).channels == 4 and read_clip_facts(clip).dimension == 64
    assert stamp_weights("--vae", vae, "vae") and stamp_weights("--clip", clip, "image_encoder")
    found = [encoder.fingerprint for encoder in load_encoders(vae, clip, device="cpu", dtype="float32")]
    assert not fingerprints or found == fingerprints
    recipe = {part: {"fingerprint": print_} for part, print_ in zip(("vae", "clip"), found, strict=True)}
    frozen = load_frozen(TrainConfig(vae=vae, clip=clip), {"recipe": recipe}, device="cpu")
    assert frozen.vae and frozen.clip
    weights = read_weights(model)
    started = model_to_start(weights, tiny_config())
    initialise(started, weights)
    return {"unet": started.unet, "vae": frozen.vae.model, "tower": frozen.clip.model}


def _edit(model: str, vae: str, clip: str, out: Path, fingerprints: list[str]) -> dict[str, Any]:
    parts = load_parts(model, vae=vae, clip=clip)
    return {"unet": parts.model.unet, "vae": parts.vae, "tower": parts.tower}


def _convert(model: str, vae: str, clip: str, out: Path, fingerprints: list[str]) -> dict[str, Any]:
    assert convert(["--model", model, "--vae", vae, "--clip", clip, "--out", str(out)]) == 0
    return _edit(str(out), "", "", out, [])


COMMANDS: dict[str, Callable[[str, str, str, Path, list[str]], dict[str, Any]]] = {
    "shard, pairs, browse, train": _train,
    "edit": _edit,
    "convert": _convert,
}


def _assert_parts(found: dict[str, Any], expected: dict[str, Tensors], *, half: bool) -> None:
    for part, tensors in expected.items():
        rounded = {key: value.half().float() if half else value for key, value in tensors.items()}
        assert_same({key: value.float() for key, value in found[part].state_dict().items()}, rounded)


@pytest.mark.heavy
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", FORMS)
def test_every_command_takes_weights_in_every_form(
    form: str, command: str, plain: Path, expected: dict[str, Tensors], fingerprints: list[str], tmp_path: Path
) -> None:
    folder, half = str(_copy(plain, tmp_path / "model", form)), "fp16" in form
    found = COMMANDS[command](folder, folder, folder, tmp_path / "out", [] if half else fingerprints)
    _assert_parts(found, expected, half=half)


@pytest.mark.heavy
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["a training", "parts", "hub"])
def test_every_command_finds_weights_in_every_place(
    place: str,
    command: str,
    plain: Path,
    expected: dict[str, Tensors],
    fingerprints: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = _copy(plain, tmp_path / "run/model", "sharded bin")
    names = {
        "a training": [str(folder.parent)] * 3,
        "parts": [str(folder), str(folder / "vae"), str(folder / "image_encoder")],
        "hub": ["our/model", "our/model:vae", "our/model:image_encoder"],
    }[place]
    if place == "hub":
        _move_to_hub(folder, tmp_path / "hub", monkeypatch)
    found = COMMANDS[command](*names, tmp_path / "out", fingerprints)  # type: ignore[call-arg]
    _assert_parts(found, expected, half=False)


def _move_to_hub(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder the hub's `our/model`, in the cache of a machine without network."""
    shutil.move(folder, cache / "models--our--model/snapshots/1234")
    (cache / "models--our--model/refs").mkdir()
    (cache / "models--our--model/refs/main").write_text("1234")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_as_the_libraries_write_them_are_read(tmp_path: Path, variant: str | None) -> None:
    torch.manual_seed(0)
    vae, tower = tiny_vae(), transformers.CLIPVisionModel(clip_config())
    if variant:
        vae, tower = vae.half(), tower.half()
    vae.save_pretrained(tmp_path / "vae", max_shard_size="40KB", variant=variant)
    tower.save_pretrained(tmp_path / "image_encoder", max_shard_size="200KB", variant=variant)
    assert len(list(tmp_path.rglob("*-of-*.safetensors"))) > 3 and len(list(tmp_path.rglob("*.json"))) == 4
    sources, exemplars = load_encoders(str(tmp_path), str(tmp_path), device="cpu", dtype="float32")
    assert_same(sources.model.state_dict(), {key: value.float() for key, value in vae.state_dict().items()})  # type: ignore[attr-defined]
    assert_same(exemplars.model.state_dict(), {key: value.float() for key, value in tower.state_dict().items()})  # type: ignore[attr-defined]


def test_a_lost_shard_is_named_before_anything_is_loaded(plain: Path, tmp_path: Path) -> None:
    folder = _copy(plain, tmp_path / "model", "sharded safetensors")
    checks: dict[str, Callable[[], object]] = {
        "vae": lambda: read_vae_facts(str(folder)),
        "image_encoder": lambda: read_clip_facts(str(folder)),
        "unet": lambda: check_model(EditConfig(model=str(folder), out="a.png")),
    }
    for part, check in checks.items():
        lost = sorted((folder / part).glob("*-00002-*"))[0]
        lost.unlink()
        with pytest.raises(InputError, match=rf"{part}/.*index.json: names {lost.name}, which is not there"):
            check()
