"""A complete model is loaded by one name, from every form that it is published in."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from pbe.weights.export import export_model
from pbe.weights.parts import Parts, load_parts
from pipeline.errors import InputError
from tests.pbe.conftest import assert_same, clip_config, diffusers_pipeline, random_model, save_published, tiny_config

ATTENTION_OF_2022 = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def pipeline(ldm_vae_module: Any) -> Any:
    return diffusers_pipeline(ldm_vae_module)


@pytest.fixture(scope="module")
def published(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder; tests that change it copy it."""
    return Path(save_published(pipeline, tmp_path_factory.mktemp("published")))


def _assert_is(
    parts: Parts, pipeline: Any, *, saved: torch.dtype = torch.float32, dtype: torch.dtype = torch.float32
) -> None:
    """Every tensor of the pipeline is there, rounded as it was saved, then as it was loaded."""
    encoder = pipeline.image_encoder.state_dict()
    conditioner = {key: value for key, value in encoder.items() if not key.startswith("model.")}
    for actual, expected in (
        (parts.model.unet, pipeline.unet.state_dict()),
        (parts.model.conditioner, conditioner),
        (parts.tower, pipeline.image_encoder.model.state_dict()),
        (parts.vae, pipeline.vae.state_dict()),
    ):
        assert_same(actual.state_dict(), {key: value.to(saved).to(dtype) for key, value in expected.items()})


def _rewrite(folder: Path, *, rename: Any = lambda key: key, dtype: torch.dtype | None = None, suffix: str) -> None:
    """Save a part's weights again, under other names, in another precision, as another kind of file."""
    (path,) = folder.glob("*.safetensors")
    state = {rename(key): value.to(dtype or value.dtype) for key, value in load_file(path).items()}
    path.unlink()
    if suffix == ".bin":
        stem = "pytorch_model" if path.stem == "model" else path.stem
        torch.save(state, folder / f"{stem}{suffix}")
    else:
        save_file(state, folder / f"{path.stem}{suffix}", metadata={"format": "pt"})


def _of_2022(key: str) -> str:
    for new, old in ATTENTION_OF_2022.items():
        key = re.sub(rf"(attentions\.0)\.{new}\.", rf"\1.{old}.", key)
    return key


def _of_transformers_4(key: str) -> str:
    return re.sub(r"^model\.(?!vision_model\.)", "model.vision_model.", key)


@pytest.mark.heavy
@pytest.mark.parametrize("suffix", [".safetensors", ".bin", ".fp16.safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_published_folder_of_any_age_gives_every_tensor(
    tmp_path: Path, published: Path, pipeline: Any, suffix: str, dtype: torch.dtype
) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "old"))
    _rewrite(folder / "unet", suffix=suffix, dtype=dtype)
    _rewrite(folder / "image_encoder", suffix=suffix, dtype=dtype, rename=_of_transformers_4)
    _rewrite(folder / "vae", suffix=suffix, dtype=dtype, rename=_of_2022)
    parts = load_parts(str(folder))
    _assert_is(parts, pipeline, saved=dtype)
    assert parts.source == str(folder) and parts.note == {} and parts.weights == "unknown"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_all_parts_are_frozen_and_of_one_precision(published: Path, pipeline: Any, dtype: str) -> None:
    parts = load_parts(str(published), dtype=dtype)
    _assert_is(parts, pipeline, dtype=getattr(torch, dtype))
    for part in (parts.model, parts.vae, parts.tower):
        assert not part.training and not any(parameter.requires_grad for parameter in part.parameters())


@pytest.mark.heavy
@pytest.mark.parametrize("layout", ["diffusers", "pbe"])
def test_a_trainings_folder_means_the_model_in_it(tmp_path: Path, pipeline: Any, layout: Any) -> None:
    model, encoders = random_model(tiny_config()), {"vae": pipeline.vae, "tower": pipeline.image_encoder.model}
    out = tmp_path / "run" / "model"
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"run: a training without a model yet; write .*run/model with .*--export-only"
    ):
        load_parts(str(tmp_path / "run"))
    export_model(out, model.state_dict(), model.config, weights="ema", step=7, layout=layout, **encoders)
    for source in (out.parent, out):
        parts = load_parts(str(source))
        assert parts.source == str(out) and parts.weights == "ema" and parts.note["step"] == 7
        assert_same(parts.model.state_dict(), model.state_dict())
        assert_same(parts.vae.state_dict(), pipeline.vae.state_dict())
        assert_same(parts.tower.state_dict(), pipeline.image_encoder.model.state_dict())


@pytest.mark.heavy
def test_a_model_without_encoders_takes_those_that_flags_name(tmp_path: Path, published: Path, pipeline: Any) -> None:
    model, out = random_model(tiny_config()), tmp_path / "bare"
    export_model(out, model.state_dict(), model.config, weights="raw", step=1, vae=None, tower=None)
    with pytest.raises(InputError, match=r"bare: holds no VAE.* --vae"):
        load_parts(str(out))
    with pytest.raises(InputError, match=r"bare: holds no exemplar encoder; .* --exemplar-encoder"):
        load_parts(str(out), vae="none")
    bare = load_parts(str(out), vae="none", clip="none")
    assert bare.vae is None and bare.tower is None

    whole = transformers.CLIPModel(transformers.CLIPConfig(vision_config=clip_config().to_dict()))
    whole.vision_model.load_state_dict(_fitting(whole.vision_model, pipeline.image_encoder.model))
    whole.save_pretrained(tmp_path / "clip")
    pipeline.image_encoder.model.save_pretrained(tmp_path / "tower")
    for clip in (tmp_path / "clip", tmp_path / "tower", published, published / "image_encoder"):
        parts = load_parts(str(out), vae=str(published / "vae" if clip == published else published), clip=str(clip))
        assert_same(parts.vae.state_dict(), pipeline.vae.state_dict())
        assert_same(parts.tower.state_dict(), pipeline.image_encoder.model.state_dict())
    assert load_parts(str(out), vae="untrained", clip="untrained").vae.config.block_out_channels[0] == 8


def _fitting(module: Any, tower: Any) -> Any:
    """The tower's tensors under the names of a whole CLIP's vision model, which versions prefix differently."""
    plain = {key.removeprefix("vision_model."): value for key, value in tower.state_dict().items()}
    nested = any(key.startswith("vision_model.") for key in module.state_dict())
    return {f"vision_model.{key}": value for key, value in plain.items()} if nested else plain


def test_a_vae_by_hub_id_is_fetched_from_its_subfolder(
    tmp_path: Path, published: Path, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def fetch(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(published)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    parts = load_parts(str(published), vae="someone/sd:vae")
    assert_same(parts.vae.state_dict(), pipeline.vae.state_dict())
    ((name, patterns),) = asked
    assert name == "someone/sd" and patterns and all(pattern.startswith("vae/") for pattern in patterns)


def test_a_tiny_vae_is_loaded_as_what_it_is(tmp_path: Path, published: Path) -> None:
    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    tiny = diffusers.AutoencoderTiny(num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), **widths)
    tiny.save_pretrained(tmp_path / "tiny")
    parts = load_parts(str(published), vae=str(tmp_path / "tiny"))
    assert isinstance(parts.vae, diffusers.AutoencoderTiny)
    assert_same(parts.vae.state_dict(), tiny.state_dict())


def test_encoders_of_other_sizes_are_refused_by_flag(tmp_path: Path, published: Path) -> None:
    transformers.CLIPVisionModel(
        transformers.CLIPVisionConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path / "tower")
    diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=3).save_pretrained(
        tmp_path / "vae"
    )
    diffusers.AsymmetricAutoencoderKL().save_pretrained(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    for flags, message in (
        ({"clip": "tower"}, r"exemplar vectors of 64 numbers, the exemplar encoder's have 32; .*--exemplar-encoder"),
        ({"vae": "vae"}, r"latents of 4 channels, the VAE's have 3; .*--vae"),
        ({"vae": "other"}, r"other: VAE: its class is AsymmetricAutoencoderKL; give one of AutoencoderKL, .*--vae"),
        ({"vae": "empty"}, r"--vae .*empty: no config.json there; give a folder that holds the model"),
        (
            {"clip": "absent"},
            r"--exemplar-encoder .*absent: no such folder or file; give a folder that holds the model",
        ),
    ):
        named = {flag: str(tmp_path / name) for flag, name in flags.items()}
        with pytest.raises(InputError, match=message):
            load_parts(str(published), **named)


class _Attack:
    """Unpickled without care, this makes the folder."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return os.system, (f"mkdir {self.victim}",)


@pytest.mark.parametrize("part", ["unet", "image_encoder", "vae"])
def test_a_malicious_part_of_a_folder_does_nothing(tmp_path: Path, published: Path, part: str) -> None:
    folder, victim = Path(shutil.copytree(published, tmp_path / "evil")), tmp_path / "victim"
    (path,) = (folder / part).glob("*.safetensors")
    path.unlink()
    torch.save({"a": torch.ones(1), "b": _Attack(victim)}, folder / part / f"{path.stem}.bin")
    with pytest.raises(InputError, match=r"does not fit this model|conditioner"):  # all but the one tensor is missing
        load_parts(str(folder))
    assert not victim.exists()


def test_a_folder_whose_vae_did_not_arrive_asks_for_one(tmp_path: Path, published: Path) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "half"))
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"half: holds no VAE tensors; name a VAE with --vae"):
        load_parts(str(folder))
    assert load_parts(str(folder), vae=str(published)).vae is not None


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("unet", {"downsample_padding": 100}),
        ("unet", {"freq_shift": None}),
        ("image_encoder", {"image_size": -32}),
        ("vae", {"in_channels": 3, "act_fn": "silu", "mid_block_add_attention": True, "layers_per_block": 0}),
    ],
)
def test_a_config_whose_tensors_fit_but_which_cannot_compute_is_refused(
    tmp_path: Path, published: Path, part: str, changes: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "odd"))
    config = json.loads((folder / part / "config.json").read_text())
    (folder / part / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(InputError, match=r"odd: .*(does not describe a model|does not fit this model)"):
        load_parts(str(folder))
