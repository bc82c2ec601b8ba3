"""Weights of every layout come in, whole and safely."""

import json
import os
import pickle
import re
import sys
import types
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pbe.model.paint_by_example import PaintByExample
from pbe.model.unet import UNET_SIZES, UNetSize, build_unet, unet_config
from pbe.weights.building import build_model, build_tower, build_vae, initialise
from pbe.weights.reading import Weights, read_weights
from pipeline.errors import InputError
from pipeline.tensors.fitting import load_exactly
from pipeline.tensors.torch_files import load_torch_file
from tests.pbe.conftest import CHANNELS, LATENT, LDM_SIZE, clip_config, diffusers_encoder, random_model, tiny_config
from tests.pbe.weights.ldm_names import ldm_conditioner, ldm_unet, ldm_vae

Tensors = dict[str, torch.Tensor]


def _stable_diffusion(size: UNetSize) -> Any:
    """A UNet with 4 input channels and stock attention, all at random."""
    torch.manual_seed(5)
    config = {**unet_config(size, latent_channels=CHANNELS, latent_size=LATENT), "in_channels": CHANNELS}
    unet = build_unet(config, one_token=False).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return unet


def _assert_same(actual: Any, expected: Any) -> None:
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[key], expected[key]) for key in actual)


def _save_sd_folder(folder: Path, unet: Any, *, pickled: bool = False) -> str:
    unet.save_pretrained(folder / "unet", safe_serialization=not pickled)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    return str(folder)


def _save_ldm(path: Path, state: Tensors, **beside: Any) -> str:
    torch.save({"state_dict": state, "epoch": 3, **beside}, path)
    return str(path)


# Stable Diffusion as the start


@pytest.mark.parametrize("form", ["safetensors", "bin", "ckpt"])
def test_started_from_stable_diffusion_the_new_channels_change_nothing(tmp_path: Path, form: str) -> None:
    prior = _stable_diffusion(LDM_SIZE)
    if form == "ckpt":
        text = {"cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.ones(4)}
        source = _save_ldm(tmp_path / "sd.ckpt", ldm_unet(prior.state_dict(), levels=3) | text)
    else:
        source = _save_sd_folder(tmp_path / "sd", prior, pickled=form == "bin")
    model = random_model(tiny_config(size=LDM_SIZE))
    conditioner = {key: value.clone() for key, value in model.conditioner.state_dict().items()}

    said = initialise(model, read_weights(source))

    noisy, context = torch.randn(2, CHANNELS, LATENT, LATENT), torch.randn(2, 1, 16)
    expected = prior(noisy, torch.tensor([3, 800]), encoder_hidden_states=context).sample
    for scale in (0.0, 1.0, 100.0):
        rest = scale * torch.randn(2, CHANNELS + 1, LATENT, LATENT)
        actual = model.unet(torch.cat([noisy, rest], 1), torch.tensor([3, 800]), encoder_hidden_states=context).sample
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    assert "conv_in 4 -> 9" in said[0]
    _assert_same(model.conditioner.state_dict(), conditioner)


def test_an_inpainting_unet_of_another_channel_order_is_refused(tmp_path: Path) -> None:
    unet = build_unet(tiny_config().unet, one_token=False)
    source = _save_sd_folder(tmp_path / "inpainting", unet)
    with pytest.raises(InputError, match=r"inpainting: its UNet takes 9 input channels .* start from one with 4"):
        initialise(random_model(tiny_config()), read_weights(source))


def test_weights_of_another_size_are_refused_by_tensor(tmp_path: Path) -> None:
    source = _save_sd_folder(tmp_path / "sd", _stable_diffusion(LDM_SIZE))
    with pytest.raises(InputError, match=r"sd: UNet does not fit .*unexpected \(.*of another shape \(.* for "):
        initialise(random_model(tiny_config()), read_weights(source))


def test_missing_and_unexpected_tensors_are_named(model: PaintByExample) -> None:
    state = model.conditioner.state_dict()
    state["stranger"] = state.pop("uncond_vector")
    with pytest.raises(InputError, match=r"here does not fit .*1 missing \(uncond_vector\); 1 unexpected \(stranger\)"):
        load_exactly(model.conditioner, state, "here")


# Paint by Example, published


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("prefix", ["model.", "model.vision_model."])
def test_diffusers_folder_is_read_as_either_transformers_wrote_it(tmp_path: Path, prefix: str, pickled: bool) -> None:
    model, encoder = random_model(tiny_config()), diffusers_encoder()
    _save_sd_folder(tmp_path, model.unet, pickled=pickled)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "PaintByExamplePipeline"}))
    inner = re.compile(r"^model\.(vision_model\.)?")
    state = {inner.sub(prefix, key): value for key, value in encoder.state_dict().items()}
    state[f"{prefix}embeddings.position_ids"] = torch.arange(17)[None]
    encoder.config.save_pretrained(tmp_path / "image_encoder")
    if pickled:
        torch.save(state, tmp_path / "image_encoder" / "pytorch_model.bin")
    else:
        save_file(state, tmp_path / "image_encoder" / "model.safetensors")

    weights = read_weights(str(tmp_path))
    built = build_model(weights)

    _assert_same(built.unet.state_dict(), model.unet.state_dict())
    pixels = torch.randn(2, 3, 32, 32)
    pooled = build_tower(weights)(pixel_values=pixels).pooler_output
    torch.testing.assert_close(built.conditioner(pooled), encoder(pixels), atol=1e-5, rtol=0)


class _Callback:
    """A class that a Lightning checkpoint names; its module disappears before reading."""

    def __init__(self) -> None:
        self.best = [torch.ones(2), {"a": 1}]


def _official_checkpoint(path: Path, model: PaintByExample, vae: Any, tower: Tensors) -> str:
    """Write what Lightning writes: the state dict among callbacks and configs of classes that are not installed."""
    module = types.ModuleType("lightning_of_2022")
    foreign = type("ModelCheckpoint", (_Callback,), {"__module__": module.__name__})
    plain = type("ListConfig", (), {"__module__": module.__name__})
    vars(module).update(ModelCheckpoint=foreign, ListConfig=plain)
    sys.modules[module.__name__] = module
    state = ldm_unet(model.unet.state_dict(), levels=3) | ldm_conditioner(model.conditioner.state_dict()) | ldm_vae(vae)
    state |= {f"cond_stage_model.transformer.vision_model.{key}": value for key, value in tower.items()}
    counts: defaultdict[str, int] = defaultdict(int, a=1)
    try:
        return _save_ldm(
            path, state, callbacks={foreign: {"best": foreign()}}, hyper=plain(), counts=counts, kind=plain
        )
    finally:
        del sys.modules[module.__name__]


def test_official_checkpoint_is_read_without_its_foreign_classes(tmp_path: Path, ldm_vae_module: Any) -> None:
    config = tiny_config(size=LDM_SIZE)
    model, encoder = random_model(config), diffusers_encoder()
    vae = ldm_vae_module.state_dict()
    path = _official_checkpoint(tmp_path / "pbe.ckpt", model, vae, encoder.model.state_dict())

    weights = read_weights(path)
    other = random_model(config, seed=9)
    initialise(other, weights)

    assert "lightning_of_2022" not in sys.modules
    _assert_same(other.state_dict(), model.state_dict())
    _assert_same(weights.vae, vae)
    tower = build_tower(Weights(path, {}, tower=weights.tower, tower_config=clip_config().to_dict()))
    _assert_same(tower.state_dict(), encoder.model.state_dict())


def test_original_vae_of_another_size_is_refused(tmp_path: Path, ldm_vae_module: Any) -> None:
    with pytest.raises(InputError, match=r"x: VAE does not fit"):
        build_vae(Weights("x", {}, vae=ldm_vae_module.state_dict()))
    with pytest.raises(InputError, match=r"x: holds no VAE"):
        build_vae(Weights("x", {}))


# Files that are not what they should be


class _Attack:
    """Unpickled without care, this makes the folder."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, exec, pickle.loads])
def test_a_malicious_pickle_does_nothing(tmp_path: Path, function: Any) -> None:
    victim = tmp_path / "victim"
    argument = {
        os.mkdir: str(victim),
        os.system: f"mkdir {victim}",
        pickle.loads: pickle.dumps(_Attack(os.mkdir, str(victim))),
    }.get(function, f"__import__('os').mkdir({str(victim)!r})")
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"a": torch.ones(1)}, "extra": _Attack(function, argument)}, path)
    try:
        assert list(load_torch_file(path)) == ["a"]
    except InputError as error:
        assert "evil.ckpt: cannot be read as tensors" in str(error)
    assert not victim.exists()


def test_reading_leaves_torch_as_strict_as_before(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"a": torch.ones(1), "extra": _Attack(eval, "1")}, path)
    before = set(torch.serialization.get_safe_globals())
    load_torch_file(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ckpt", b"not a checkpoint", "a.ckpt: cannot be read as tensors"),
        ("a.ckpt", b"", "a.ckpt: cannot be read as tensors"),
        ("a.safetensors", b"\x00" * 20, "a.safetensors: is not a complete safetensors file"),
        ("a.onnx", b"", r"a.onnx: ends neither in .safetensors nor in .ckpt"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_weights(str(tmp_path / name))


def test_a_truncated_checkpoint_is_named(tmp_path: Path, model: PaintByExample) -> None:
    path = Path(_save_ldm(tmp_path / "cut.ckpt", model.state_dict()))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"cut.ckpt: cannot be read as tensors"):
        read_weights(str(path))


@pytest.mark.parametrize("held", [[1, 2], {"epoch": 3}, {"state_dict": {"a": 1}}])
def test_a_checkpoint_without_tensors_is_refused(tmp_path: Path, held: Any) -> None:
    torch.save(held, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"a.pt: holds no named tensors"):
        read_weights(str(tmp_path / "a.pt"))


def test_a_file_of_other_tensors_and_empty_places_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    (tmp_path / "unet").mkdir()
    (tmp_path / "empty").mkdir()
    for source, message in {
        str(tmp_path / "a.safetensors"): r"no tensor is named model.diffusion_model",
        str(tmp_path): r"unet: has no weights, such as diffusion_pytorch_model.safetensors",
        str(tmp_path / "empty"): r"empty: has no unet folder",
        str(tmp_path / "absent"): r"absent: no such folder or file; give the path of",
    }.items():
        with pytest.raises(InputError, match=message):
            read_weights(source)


def test_a_hub_id_is_fetched_without_variants_and_pickles_only_where_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = _stable_diffusion(UNET_SIZES["tiny"])
    _save_sd_folder(tmp_path / "hub", prior, pickled=True)
    asked: list[list[str]] = []

    def fetch(name: str, *, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        suffixes = (".json", ".bin") if len(asked) > 1 else (".json",)  # this repository has pickles only
        for path in (tmp_path / "hub").rglob("*.*"):
            if path.suffix in suffixes:
                target = tmp_path / "cache" / path.relative_to(tmp_path / "hub")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        return str(tmp_path / "cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    _assert_same(read_weights("someone/model").unet, prior.state_dict())
    assert "unet/diffusion_pytorch_model.safetensors" in asked[0] and "unet/diffusion_pytorch_model.bin" in asked[1]
    assert not any("fp16" in pattern or pattern.endswith("/*") for pattern in asked[0] + asked[1])


def test_a_hub_id_out_of_reach_is_named() -> None:
    with pytest.raises(InputError, match=r"no-one/nothing: not a folder here, and the hub does not provide it \("):
        read_weights("no-one/nothing")


def test_stable_diffusion_cannot_edit_by_example(tmp_path: Path) -> None:
    source = _save_sd_folder(tmp_path, _stable_diffusion(UNET_SIZES["tiny"]))
    with pytest.raises(InputError, match=r"has no exemplar conditioner"):
        build_model(read_weights(source))
