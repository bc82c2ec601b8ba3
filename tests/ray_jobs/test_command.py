import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import PAPER, PRESETS
from pipeline.errors import InputError
from ray_jobs.command import parse_shard_config

FLAGS = [
    *("boxes", "images", "image-info", "classes", "out", "draws", "resolution", "photos-per-unit", "split-shares"),
    *("vae", "clip", "filters", "deny", "boxes-frame", "keep-source", "device", "dtype", "encode-batch", "encoders"),
    *("cpus-per-gpu", "seed", "limit", "max-photo-failures", "retry-drops", "overwrite"),
]
ROOT = Path(__file__).parent.parent.parent


def test_the_bare_command_is_the_tiny_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = parse_shard_config([])
    assert config.out == str(tmp_path / "runs/tiny")
    assert config.boxes == PRESETS["tiny"].boxes
    assert parse_shard_config(["smoke"]).out == str(tmp_path / "runs/smoke")


def test_giving_boxes_clears_the_presets_other_inputs(tmp_path: Path) -> None:
    config = parse_shard_config(["paper", "--boxes", "a.csv", "b.csv", "--out", str(tmp_path)])
    assert config.boxes == ("a.csv", "b.csv")
    assert (config.images, config.image_info, config.classes, config.anonymous) == ((), (), "", False)
    assert config.vae == PAPER.vae and config.draws == 10
    kept = parse_shard_config(["paper", "--boxes-frame", "exif", "--out", str(tmp_path)])
    assert kept.images == PAPER.images


def test_flags_of_the_issue_are_all_there(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "ray_jobs/shard_openimages.py"), "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for flag in FLAGS:
        assert f"--{flag}" in text
    assert "relative area in [0.02, 0.8]" in " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["big"], "preset 'big': give one of tiny, smoke, paper"),
        (["--draws", "0"], "--draws 0"),
        (["--split-shares", "0.5", "0.1", "0.1"], "add up to 1"),
        (["--split-shares", "0.5", "nan", "0.5"], "--split-shares (0.5, nan, 0.5)"),
        (["--max-photo-megapixels", "nan"], "--max-photo-megapixels nan: give a number above 0"),
        (["--max-photo-failures", "2"], "--max-photo-failures 2"),
        (["--out", "nowhere://x"], "nowhere://x"),
    ],
)
def test_values_that_cannot_work_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_shard_config(arguments)
    assert message in str(refusal.value)


def test_a_relative_output_is_refused_where_ray_shipped_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "runtime_resources/working_dir_files/_ray_pkg_1"
    shipped.mkdir(parents=True)
    monkeypatch.chdir(shipped)
    for arguments in ([], ["--out", "runs/x"]):
        with pytest.raises(InputError, match="Ray discards the folder"):
            parse_shard_config(arguments)
    assert parse_shard_config(["--out", str(tmp_path)]).out == str(tmp_path)
    assert parse_shard_config(["--out", "memory://x"]).out == "memory://x"
