"""The training that a finished dataset's last line names fits that dataset."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from pbe.train import parse_train_config
from pbe.training.checks import check_training
from pipeline.encoders import names
from pipeline.jobs.next_steps import train_line
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from schemas.shards import CONFIG
from tests.pipeline.pairing.test_fine_tuning import write_configs
from tests.synthetic import write_manifest, write_synthetic

PLAIN, TRAINED = (
    {"vae": "untrained AutoencoderKL", "clip": "untrained CLIP vision tower"},
    {"vae": "vae", "clip": "clip"},
)


def write_dataset(out: Path, counts: list[list[int]], encoders: dict[str, str], **options: Any) -> Folder:
    write_synthetic(out, counts, side=8, dimension=64, **options)
    folder = Folder(str(out))
    write_manifest(folder, {**read_manifest(folder), "encoders": encoders})
    return folder


def words_of(line: str) -> list[str]:
    """The arguments of the trainer that a shell reads of a line."""
    said, _, command = line.partition(": ")
    assert said == "train on it"
    python, flag, module, *arguments = shlex.split(command)
    assert (python, flag, module) == ("python", "-m", "pbe.train")
    return arguments


@pytest.mark.parametrize(
    ("counts", "more"),
    [([[9, 5], [8, 2]], []), ([[3], [2]], []), ([[9, 5], [0, 1]], ["--batch-size", "1", "--lanes", "1"])],
)
def test_the_line_of_an_untrained_dataset_is_a_training_that_its_smallest_draw_can_fill(
    tmp_path: Path, counts: list[list[int]], more: list[str]
) -> None:
    data = tmp_path / "my data"
    arguments = words_of(train_line(write_dataset(data, counts, PLAIN)))
    assert arguments == ["smoke", "--data", str(data), *more, "--out", f"{data}-train"]
    check_training(parse_train_config(arguments))


def test_the_line_of_a_dataset_of_the_shipped_encoders_starts_from_the_shipped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_configs(tmp_path / "package", [32, 64], prediction="v")
    monkeypatch.setattr(names, "SHIPPED_FOLDER", tmp_path / "package")
    data = write_dataset(tmp_path / "data", [[9, 4]], {"vae": "shipped codec", "clip": "shipped exemplar encoder"})
    arguments = words_of(train_line(data))
    config = parse_train_config(arguments)
    check_training(config)
    assert (arguments[0], config.init_from, config.prediction, config.vae) == ("tiny", "shipped", "v", "")


@pytest.mark.parametrize(
    ("vae", "channels", "flags"),
    [
        ("sd/vae", 4, ["--init-from", "sd"]),
        ("sd", 4, ["--init-from", "sd"]),
        ("velocities", 4, ["--init-from", "velocities", "--prediction", "v"]),
        ("alone", 4, []),
        ("owner/name:vae", 4, ["--init-from", "owner/name"]),
        ("owner/name", 4, []),
        ("sd/vae", 16, ["--no-prior"]),
    ],
)
def test_the_line_of_a_trained_dataset_names_its_encoders_and_the_weights_that_the_vae_is_of(
    tmp_path: Path, vae: str, channels: int, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("sd/vae", "sd/unet", "sd/scheduler", "velocities/unet", "velocities/scheduler", "alone", "clip"):
        Path(folder).mkdir(parents=True)
    Path("sd/scheduler/scheduler_config.json").write_text("[]")
    Path("velocities/scheduler/scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    data = write_dataset(tmp_path / "data", [[9, 4]], TRAINED, channels=channels)
    data.write_json(CONFIG, {"vae": vae if ":" in vae or "/n" in vae else str(tmp_path / vae), "clip": "clip"})
    arguments = words_of(train_line(data))
    config = parse_train_config(arguments)
    assert arguments[0] == "24gb" and config.batch_size == 12 and config.prior is ("--no-prior" not in flags)
    assert (config.vae, config.clip, config.data, config.out) == (vae, "clip", data.url, f"{data.url}-train")
    assert [word for word in ["--exemplar-encoder", *flags] if word not in arguments] == []
    assert all((flag in arguments) == (flag in flags) for flag in ("--init-from", "--prediction"))


def test_where_no_training_is_possible_or_its_encoders_are_not_known_the_line_says_why(tmp_path: Path) -> None:
    none = write_dataset(tmp_path / "none", [[9]], PLAIN, split="validation")
    assert train_line(none).startswith("no training on it: a draw has no sample in the train split; ")
    copied = write_dataset(tmp_path / "copied", [[9]], TRAINED)
    for content in (None, b"{cut", json.dumps({"vae": "v"}).encode()):
        if content is not None:
            copied.write(CONFIG, content)
        assert (
            train_line(copied)
            == "to train on it, give pbe.train the encoders that made it: --vae and --exemplar-encoder"
        )
