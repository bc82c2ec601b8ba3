"""Conversion changes no tensor and no picture, and destroys nothing."""

import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pbe.convert import main
from pbe.edit import main as edit
from pbe.weights.export import export_model
from pbe.weights.hole_sides import summarise_hole_sides
from pbe.weights.parts import load_parts
from pbe.weights.reading import Weights, read_weights
from tests.pbe.conftest import (
    assert_same,
    deprecated,
    diffusers_encoder,
    diffusers_pipeline,
    paint,
    random_model,
    save_published,
    tiny_config,
)
from tests.pipeline.storage.odd_names import ALL_OF_IT


@pytest.fixture(scope="module")
def pipeline(ldm_vae_module: Any) -> Any:
    return diffusers_pipeline(ldm_vae_module)


@pytest.fixture(scope="module")
def _saved(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_published(pipeline, tmp_path_factory.mktemp("saved"))


@pytest.fixture
def published(_saved: str, tmp_path: Path) -> Path:
    """A published folder of one's own to change."""
    return Path(shutil.copytree(_saved, tmp_path / f"published {ALL_OF_IT}"))


def _convert(source: Path | str, out: Path, *flags: str) -> None:
    assert main(["--model", str(source), "--out", str(out), *flags]) == 0


def _assert_same_weights(actual: Weights, expected: Weights) -> None:
    for part in ("unet", "conditioner", "tower", "vae"):
        assert_same(getattr(actual, part), getattr(expected, part))


def _files(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.heavy
@pytest.mark.parametrize("output_type", ["latent", "np"])
def test_the_picture_of_diffusers_pipeline_is_the_same_after_conversion(
    tmp_path: Path, published: Path, pipeline: Any, output_type: str
) -> None:
    _convert(published, tmp_path / ALL_OF_IT / "ours", "--layout", "pbe")
    _convert(tmp_path / ALL_OF_IT / "ours", tmp_path / "back")
    before = torch.as_tensor(paint(pipeline, output_type=output_type))
    assert torch.isfinite(before).all() and before.std() > 0
    for folder in (published, tmp_path / "back"):
        again = deprecated.PaintByExamplePipeline.from_pretrained(str(folder))
        assert torch.equal(torch.as_tensor(paint(again, output_type=output_type)), before)
        assert again.components.keys() == pipeline.components.keys() and again.safety_checker is None


def test_scheduler_and_preprocessing_are_those_of_the_published_folder(tmp_path: Path, published: Path) -> None:
    _convert(published, tmp_path / "out")
    before, after = (
        deprecated.PaintByExamplePipeline.from_pretrained(str(folder)) for folder in (published, tmp_path / "out")
    )
    for part in ("scheduler", "unet", "vae"):
        configs = [dict(getattr(p, part).config) for p in (before, after)]
        assert _visible(configs[0]).items() <= _visible(configs[1]).items()
    processors = [p.feature_extractor.to_dict() for p in (before, after)]
    assert processors[0] == processors[1]


def _visible(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith("_")}


@pytest.mark.heavy
@pytest.mark.parametrize("through", ["pbe", "diffusers"])
def test_each_tensor_keeps_its_bits_and_its_precision(tmp_path: Path, published: Path, through: str) -> None:
    for part, dtype in (("unet", torch.float16), ("vae", torch.bfloat16)):
        path = published / part / "diffusion_pytorch_model.safetensors"
        save_file({key: value.to(dtype) for key, value in load_file(path).items()}, path)
    path = published / "image_encoder" / "model.safetensors"
    save_file({k: v.half() if k.startswith("mapper") else v for k, v in load_file(path).items()}, path)
    before = read_weights(str(published))
    _convert(published, tmp_path / "first", "--layout", through)
    _convert(tmp_path / "first", tmp_path / "second")
    for folder in ("first", "second"):
        after = read_weights(str(tmp_path / folder))
        bits = [{key: value.view(torch.uint8) for key, value in w.conditioner.items()} for w in (before, after)]
        assert_same(*bits)
        for part in ("unet", "tower", "vae"):
            assert_same(getattr(after, part), getattr(before, part))


def test_what_the_training_recorded_stays_recorded(tmp_path: Path, pipeline: Any) -> None:
    model, recorded = random_model(tiny_config()), {"vae": "a", "clip": "b"}
    sides = summarise_hole_sides(np.array([0.25, 0.5], np.float32))
    export_model(
        tmp_path / "run/model", model.state_dict(), model.config, vae=pipeline.vae, tower=diffusers_encoder().model,
        weights="ema", step=9, encoders=recorded, hole_sides=sides,
    )  # fmt: skip
    _convert(tmp_path / "run", tmp_path / "out", "--layout", "pbe")
    note = json.loads((tmp_path / "out" / "pbe.json").read_text())
    assert (note["weights"], note["step"], note["encoders"], note["layout"]) == ("ema", 9, recorded, "pbe")
    assert note["hole_sides"] == sides
    _assert_same_weights(read_weights(str(tmp_path / "out")), read_weights(str(tmp_path / "run")))


@pytest.mark.heavy
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision_is_rounding_once(tmp_path: Path, published: Path, dtype: str) -> None:
    torch_dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    _convert(published, tmp_path / "half", "--dtype", dtype)
    _convert(tmp_path / "half", tmp_path / "whole", "--dtype", "fp32")
    before, half, whole = (read_weights(str(folder)) for folder in (published, tmp_path / "half", tmp_path / "whole"))
    for part in ("unet", "conditioner", "tower", "vae"):
        rounded = {key: value.to(torch_dtype) for key, value in getattr(before, part).items()}
        assert_same(getattr(half, part), rounded)
        assert_same(getattr(whole, part), {key: value.float() for key, value in rounded.items()})
    painted = paint(deprecated.PaintByExamplePipeline.from_pretrained(str(tmp_path / "half")), output_type="latent")
    assert torch.isfinite(painted).all()


def test_running_the_same_command_again_changes_nothing(tmp_path: Path, published: Path) -> None:
    _convert(published, tmp_path / "out")
    first = _files(tmp_path / "out")
    _convert(published, tmp_path / "out")
    assert _files(tmp_path / "out") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", published.name]


@pytest.mark.heavy
def test_parts_that_are_missing_are_named_and_may_be_given(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_model(tiny_config())
    export_model(tmp_path / "bare", model.state_dict(), model.config, vae=None, tower=None, weights="raw", step=1)
    _convert(tmp_path / "bare", tmp_path / "still")
    said = capsys.readouterr().out
    assert "VAE               missing" in said
    assert "our own layout, since the VAE is missing, not AutoencoderKL; the exemplar encoder is missing" in said
    _convert(tmp_path / "bare", tmp_path / "whole", "--vae", str(published), "--clip", str(published))
    assert f"{tmp_path / 'whole'}: diffusers layout" in capsys.readouterr().out
    parts, source = load_parts(str(tmp_path / "whole")), load_parts(str(published))
    assert_same(parts.model.state_dict(), model.state_dict())
    assert_same(parts.vae.state_dict(), source.vae.state_dict())
    assert_same(parts.tower.state_dict(), source.tower.state_dict())
    assert main(["--model", str(tmp_path / "bare"), "--out", str(tmp_path / "no"), "--layout", "diffusers"]) == 2
    assert "holds no VAE tensors; name a VAE with --vae" in capsys.readouterr().err


def test_the_summary_counts_every_part(tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _convert(published, tmp_path / "out", "--dtype", "fp16")
    lines = capsys.readouterr().out.splitlines()
    weights = read_weights(str(published))
    assert lines[0] == f"reading {published}" and lines[1].startswith("writing ")
    for name, part in (("UNet", "unet"), ("conditioner", "conditioner"), ("exemplar encoder", "tower"), ("VAE", "vae")):
        tensors = getattr(weights, part).values()
        numel = sum(value.numel() for value in tensors)
        (line,) = [line for line in lines if line.strip().startswith(f"{name} ")]
        assert f"{numel:,} parameters in {len(tensors):3} tensors, float16, {2 * numel / 1e6:,.1f} MB" in line


def test_the_command_that_is_printed_last_edits_with_the_model(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _convert(published, tmp_path / "a model's")
    *_, last = capsys.readouterr().out.splitlines()
    said, python, flag, module, *arguments = shlex.split(last)
    assert (said, python, flag, module) == ("next:", "python", "-m", "pbe.edit")
    assert edit([*arguments, "--steps", "2"]) == 0
    assert (tmp_path / "a model's-edited.png").exists()
    _convert(published, tmp_path / "bare", "--vae", "none", "--layout", "pbe")
    assert (
        "the model has not all encoders: to edit with it, give pbe.edit --vae and --exemplar-encoder"
        in capsys.readouterr().out
    )


def _refuse(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.splitlines()) == 1
    assert message in said


def test_places_that_are_taken_are_refused_and_kept(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("five years")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    taken = "holds something other than a model of this project; give a new folder"
    for out in ("mine", "file", published.name):
        before = _files(tmp_path)
        _refuse(["--model", str(published), "--out", str(tmp_path / out)], taken, capsys)
        assert _files(tmp_path) == before
    _convert(published, tmp_path / "empty")
    _refuse(["--model", str(tmp_path / "empty"), "--out", str(tmp_path / "empty" / ".")], "is the model itself", capsys)
    _refuse(["--model", str(published), "--out", "s3://bucket/model"], "--out s3://bucket/model: give a folder", capsys)
    _refuse(["--model", str(published), "--out", ""], "--model and --out: give both", capsys)
    _refuse(["--model", str(published), "--out", str(tmp_path / "file" / "x")], "file is a file; give another", capsys)
    (tmp_path / "theirs.ckpt").write_text("x")
    for flags, message in (
        (["--out", str(tmp_path / "theirs.ckpt")], "theirs.ckpt: exists already; remove it"),
        (["--out", "m.ckpt", "--layout", "pbe"], "--out m.ckpt: for --layout pbe, give a folder, not a .ckpt"),
        (["--out", "m", "--layout", "ckpt"], "--out m: for --layout ckpt, give a file that ends in .ckpt"),
        (["--out", str(tmp_path / "m.ckpt")], "original code cannot hold this model: the UNet has other tensors"),
    ):
        _refuse(["--model", str(published), *flags], message, capsys)
    assert not (tmp_path / "m.ckpt").exists()


def test_what_cannot_be_converted_is_refused_before_anything_is_written(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (published / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    out = ["--out", str(tmp_path / "out")]
    _refuse(["--model", str(published), *out], "has no exemplar conditioner", capsys)
    _refuse(["--model", str(tmp_path / "absent"), *out], "absent: no such folder or file", capsys)
    _refuse(
        ["--model", "no-one/nothing", *out],
        "no-one/nothing: not a folder here, and the hub does not provide it",
        capsys,
    )
    (published / "model_index.json").write_text('{"_class_name": "PaintByExamplePipeline"}')
    path = published / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({key: value * 1e9 for key, value in load_file(path).items()}, path)
    _refuse(["--model", str(published), *out, "--dtype", "fp16"], "--dtype fp16: the VAE holds numbers", capsys)
    path.write_bytes(path.read_bytes()[:1000])
    _refuse(["--model", str(published), *out], "is not a complete safetensors file", capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.heavy
def test_neighbours_of_the_output_are_nobodys_business(tmp_path: Path, published: Path) -> None:
    for name in ("out.older", "out.partial", "out.ckpt.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("years")
    for _ in range(2):
        assert main(["--model", str(published), "--out", str(tmp_path / "out"), "--layout", "pbe"]) == 0
    names = {path.name for path in tmp_path.iterdir()} - {published.name}
    assert names == {"out", "out.older", "out.partial", "out.ckpt.partial"}
    assert all((tmp_path / name / "thesis.txt").read_text() == "years" for name in names - {"out"})


def test_a_folder_with_anything_else_in_it_is_kept(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(published), "--out", str(tmp_path / "out")]) == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert main(["--model", str(published), "--out", str(tmp_path / "out")]) == 2
    nest = tmp_path / "nest"
    shutil.copytree(tmp_path / "out", nest / "fp16")
    (nest / "fp16/notes.txt").unlink()
    (nest / "pbe.json").write_text("{}")
    for out in (nest, nest / "fp16/deeper"):
        assert main(["--model", str(nest / "fp16"), "--out", str(out)]) == 2
    assert (tmp_path / "out/notes.txt").exists() and (nest / "fp16/unet").is_dir()


def test_a_link_is_followed_and_stays(tmp_path: Path, published: Path) -> None:
    (tmp_path / "current").symlink_to(tmp_path / "v1")
    for _ in range(2):
        assert main(["--model", str(published), "--out", str(tmp_path / "current")]) == 0
    assert (tmp_path / "current").is_symlink() and (tmp_path / "v1/unet").is_dir()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("file", "changed", "expected"),
    [
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "prediction_type is 'sample'; give a model"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "linear"}, "beta_schedule is 'linear'"),
        ("pbe.json", {"step": "x"}, "is not a note of format 1"),
        ("pbe.json", {"encoders": [1]}, "is not a note of format 1"),
        ("pbe.json", {"format": 99}, "is not a note of format 1 or 2"),
        ("pbe.json", {"format": 2}, "is not a note of format 1 or 2"),
        ("pbe.json", {"hole_sides": {"1": 0.5}}, "is not a note of format 1"),
        ("image_encoder/config.json", {"num_hidden_layers": 10**5}, "num_hidden_layers 100000"),
        ("unet/config.json", {"layers_per_block": 10**5}, "layers_per_block 100000"),
        ("vae/config.json", {"scaling_factor": None}, "scaling_factor None"),
    ],
)
def test_files_that_would_change_the_picture_or_never_end_are_refused(
    tmp_path: Path,
    published: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    changed: dict[str, object],
    expected: str,
) -> None:
    folder = tmp_path / "changed"
    assert main(["--model", str(published), "--out", str(folder)]) == 0
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **changed}))
    assert main(["--model", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder"])
@pytest.mark.parametrize("value", [10**6, -3, "x", None, [1]])
def test_a_config_that_describes_no_model_is_told_by_its_part(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str], part: str, value: object
) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "damaged"))
    path = folder / part / "config.json"
    config = json.loads(path.read_text())
    numbers = {name: value for name, old in config.items() if type(old) is int}
    path.write_text(json.dumps([1] if value == [1] else {**config, **numbers}))
    assert main(["--model", str(folder), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and str(folder) in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder"])
def test_quantised_weights_are_refused_by_name(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "quantised"))
    (path,) = (folder / part).glob("*.safetensors")
    state = load_file(path)
    name = sorted(state)[0]
    save_file({**state, name: state[name].to(torch.int8)}, path, metadata={"format": "pt"})
    assert main(["--model", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "1 of no usable precision" in capsys.readouterr().err
