"""The command that pairs print last: it runs as printed, whatever kind of model was named."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest

from pbe.train import parse_train_config
from pbe.training.checks import check_training
from pbe.training.config import PRESETS, TrainConfig
from pipeline.config import ShardConfig
from pipeline.encoders import names
from pipeline.jobs.next_steps import BATCHES
from pipeline.pairing.config import PairConfig
from pipeline.pairing.fine_tuning import fine_tune_line
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder

SMALL, LARGE = [32, 64], [320, 640, 1280, 1280]
VAE = {"_class_name": "AutoencoderKL", "block_out_channels": [8, 8, 8, 8], "latent_channels": 4}
CLIP = {"model_type": "clip_vision_model", "hidden_size": 64}


def write_configs(folder: Path, widths: list[int], *, bottleneck: bool = True, **note_of_format_2: str) -> None:
    """Write what can be known of a model without reading its weights."""
    index = {"_class_name": "PaintByExamplePipeline"}
    parts = {"unet": {"block_out_channels": widths, "sample_size": 8}, "vae": VAE, "image_encoder": CLIP}
    for part, config in parts.items():
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(config))
        (folder / part / "model.safetensors").touch()
    (folder / "model_index.json").write_text(json.dumps(index))
    note = {"format": 1, "weights": "raw", "step": None, "bottleneck": bottleneck, "encoders": {}}
    note |= {"format": 2, **note_of_format_2} if note_of_format_2 else {}
    (folder / "pbe.json").write_text(json.dumps(note))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model of each kind, in which the test works; the hub's cache holds one more."""
    write_configs(tmp_path / "a folder", SMALL)
    write_configs(tmp_path / "large", LARGE)
    write_configs(tmp_path / "training/model", SMALL, bottleneck=False)
    write_configs(tmp_path / "velocities", SMALL, prediction="v")
    write_configs(tmp_path / "package", SMALL, prediction="v")
    monkeypatch.setattr(names, "SHIPPED_FOLDER", tmp_path / "package")
    (tmp_path / "old.ckpt").touch()
    write_configs(tmp_path / "hub/models--our--model/snapshots/1234", LARGE)
    (tmp_path / "hub/models--our--model/refs").mkdir()
    (tmp_path / "hub/models--our--model/refs/main").write_text("1234")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trainer_flags(line: str) -> list[str]:
    """The trainer's arguments that a shell reads of a line."""
    said, _, command = line.partition(": ")
    python, flag, module, *arguments = shlex.split(command)
    assert (said, python, flag, module) == ("fine-tune", "python", "-m", "pbe.train")
    return arguments


ENCODERS = ("--vae", "large", "--clip", "large")
KINDS: dict[str, tuple[tuple[str, ...], str, int, str]] = {  # flags of pairs, preset, resolution, --init-from
    "a folder": (("--model", "a folder"), "smoke", 64, "a folder"),
    "a folder of Stable Diffusion's size": (("--model", "./large"), "24gb", 64, "large"),
    "a training": (("--model", "training"), "smoke", 64, "training"),
    "a model of velocities": (("--model", "velocities"), "smoke", 64, "velocities"),
    "the shipped one": (("--model", "shipped"), "tiny", 64, "shipped"),
    "a hub id": (("--model", "our/model"), "24gb", 64, "our/model"),
    "a checkpoint with encoders": (("--model", "old.ckpt", *ENCODERS), "24gb", 512, "old.ckpt"),
    "encoders alone": (ENCODERS, "smoke", 512, ""),
    "untrained": (("--model", "untrained"), "smoke", 512, ""),
}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
def test_the_printed_command_passes_all_checks_of_the_trainer_for_every_kind_of_model(
    kind: str, models: Path, made: tuple[Path, Path]
) -> None:
    flags, preset, resolution, start = KINDS[kind]
    given = dict(zip((flag.removeprefix("--") for flag in flags[::2]), flags[1::2], strict=True))
    config = PairConfig(pairs="pairs", out=str(made[1]), **given).shard_config(table="")
    assert config.resolution == resolution
    config = replace(config, draws=2)
    arguments = trainer_flags(fine_tune_line(config, given.get("model", ""), read_records(Folder(config.out))))
    training = parse_train_config(arguments)
    check_training(training)
    assert (arguments[0], training.init_from, training.bottleneck) == (preset, start, kind != "a training")
    assert training.prediction == ("v" if start in ("velocities", "shipped") else "epsilon")
    assert training.batch_size <= 5 and training.steps == 2000
    assert training.out == f"{made[1]}-tuned" and not Path(training.out).exists()


def test_the_printed_command_names_the_exemplar_encoder_as_the_help_does(models: Path, made: tuple[Path, Path]) -> None:
    config = ShardConfig(out=str(made[1]), draws=2, vae="large", clip="large")
    arguments = trainer_flags(fine_tune_line(config, "", read_records(Folder(config.out))))
    assert arguments[arguments.index("--exemplar-encoder") + 1] == "large" and "--clip" not in arguments


@pytest.mark.parametrize(("smallest", "batch"), [(1, 1), (2, 2), (3, 2), (15, 14), (16, 16), (40, 16)])
def test_a_batch_never_has_more_samples_than_the_smallest_draw(
    smallest: int, batch: int, models: Path, made: tuple[Path, Path]
) -> None:
    first, second = read_records(Folder(str(made[1])))
    config = ShardConfig(out=str(made[1]), draws=2)
    records = [replace(first, samples=50), replace(second, samples=smallest)]
    training = parse_train_config(trainer_flags(fine_tune_line(config, "large", records)))
    assert isinstance(training, TrainConfig)
    assert training.batch_size == batch and batch % training.lanes == 0
    empty = fine_tune_line(config, "large", [first, replace(second, samples=0)])
    assert empty == "no fine-tuning: draw 1 has no sample in the train split; mend or add pairs"


def test_the_presets_batches_are_those_of_the_trainer() -> None:
    assert {name: PRESETS[name].batch_size for name in BATCHES} == BATCHES
