"""What a run remembers of its encoders, and what it does without them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.facts import facts_of
from pipeline.encoders.vae import VaeEncoder
from pipeline.errors import InputError
from pipeline.hints import look_line, verify_command
from pipeline.jobs.known_encoders import KNOWN, recall_encoders, remember_encoders, stamp_encoders
from pipeline.jobs.preparation import PreparedJob
from pipeline.pairs import shard_pairs
from tests.pipeline.conftest import files_of, finish_with_pictures

Make = Callable[..., PreparedJob]
OF_RUNS = ("lock", "runs.jsonl")

# Runs the shard job, and prints which of the heavy packages it has imported.
COUNTED = """
import sys
from ray_jobs.sharding import shard_openimages
code = shard_openimages(sys.argv[1:])
heavy = {"ray", "torch", "diffusers", "transformers", "albumentations", "matplotlib"} & sys.modules.keys()
print(code, sorted(heavy))
"""


@pytest.fixture
def pairs(tmp_path: Path, vae: VaeEncoder, clip: ClipEncoder) -> list[str]:
    """Flags of a small pairs job with encoders in folders."""
    for folder, value in (("images", 90), ("masks", 0)):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
        for number in range(2):
            picture = Image.new("RGB", (96, 80), (value,) * 3)
            if folder == "masks":
                picture.paste((255,) * 3, (30, 20, 60, 50))
            picture.save(tmp_path / "pairs" / folder / f"{number}.png")
    vae.model.save_pretrained(tmp_path / "model/vae")
    clip.model.save_pretrained(tmp_path / "model/image_encoder")
    flags = {"--pairs": "pairs", "--out": "out", "--vae": "model/vae", "--clip": "model/image_encoder"}
    places = [part for flag, name in flags.items() for part in (flag, str(tmp_path / name))]
    return [*places, "--resolution", "64", "--draws", "1", "--split-shares", "1", "0", "0", "--workers", "1"]


@pytest.mark.processes
def test_a_complete_dataset_needs_neither_ray_nor_encoders(
    make: Make, sample_folder: Path, vae: VaeEncoder, clip: ClipEncoder, tmp_path: Path
) -> None:
    out = tmp_path / "d"
    job = make(out, finish=False, split_shares=(0.5, 0.25, 0.25))
    finish_with_pictures(job)
    remember_encoders(job.out, stamp_encoders(job.config), facts_of(vae, clip))
    inputs = {
        "--boxes": "train-annotations-bbox.csv",
        "--images": "train",
        "--image-info": "train-images-boxable-with-rotation.csv",
        "--classes": "class-descriptions-boxable.csv",
    }
    flags = [part for flag, name in inputs.items() for part in (flag, str(sample_folder / name))]
    command = [sys.executable, "-c", COUNTED, "smoke", *flags, "--out", str(out), "--resolution", "64"]
    command += ["--split-shares", "0.5", "0.25", "0.25"]
    before = {name: (out / name).stat().st_mtime_ns for name in files_of(out)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    shares, *ending, train, imported = done.stdout.splitlines()[-5:]
    verify = f"verify it: {verify_command(str(out))}"
    assert ending == [look_line(str(out)), verify], done.stdout + done.stderr
    assert "nothing to do: the dataset is complete" in done.stdout and "kept boxes drawn: " in shares
    assert train.startswith("train on it: ") and imported == "0 []"
    # With the manifest gone it is written again, from the records alone.
    (out / "manifest.json").unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1].startswith("0 ") and "'ray'" not in done.stdout.splitlines()[-1]
    assert {name for name in files_of(out)} == before.keys()


@pytest.mark.heavy
def test_encoders_are_recalled_until_a_file_or_the_precision_changes(pairs: list[str], tmp_path: Path) -> None:
    assert shard_pairs(pairs) == 0
    known = tmp_path / "out" / KNOWN
    content = known.read_bytes()
    assert shard_pairs(pairs) == 0 and known.read_bytes() == content
    weights = next((tmp_path / "model/vae").glob("*.safetensors"))
    os.utime(weights, ns=(1, 1))  # another time alone: read again, found to be the same, and remembered as such
    assert shard_pairs(pairs) == 0 and known.read_bytes() != content
    with pytest.raises(InputError, match='dtype: "float32" there, "bfloat16" now'):
        shard_pairs([*pairs, "--dtype", "bfloat16"])


@pytest.mark.heavy
def test_a_deleted_or_damaged_memo_only_costs_time(pairs: list[str], tmp_path: Path) -> None:
    assert shard_pairs(pairs) == 0
    known = tmp_path / "out" / KNOWN
    content = known.read_bytes()
    for damaged in (b"", b"{", b"[]", b"{}", content.replace(b"factor", b"faktor")):
        known.write_bytes(damaged)
        assert shard_pairs(pairs) == 0
        assert known.read_bytes() == content
    known.unlink()
    assert shard_pairs(pairs) == 0
    assert known.read_bytes() == content


def test_changed_weights_are_refused_before_anything_is_removed(
    pairs: list[str], vae: VaeEncoder, tmp_path: Path
) -> None:
    assert shard_pairs(pairs) == 0
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name not in OF_RUNS}
    weights = next((tmp_path / "model/vae").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"began with another recipe .*vae"):
        shard_pairs([*pairs, "--draws", "2"])
    kept = {path: path.read_bytes() for path in before}
    assert kept == before


def test_a_refused_job_leaves_no_folder_behind(pairs: list[str], tmp_path: Path) -> None:
    weights = next((tmp_path / "model/vae").glob("*.safetensors"))
    weights.write_bytes(b"damaged")
    for flags in ([], ["--out", str(tmp_path / "a/b/c")], ["--device", "cuda"], ["--resolution", "63"]):
        with pytest.raises(InputError):
            shard_pairs([*pairs, *flags])
        assert not (tmp_path / "out").exists() and not (tmp_path / "a").exists()
    (tmp_path / "out").mkdir()  # one that was there stays
    with pytest.raises(InputError):
        shard_pairs(pairs)
    assert (tmp_path / "out").is_dir()


def test_device_auto_is_the_recorded_one(pairs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shard_pairs([*pairs, "--device", "cpu"]) == 0
    shutil.rmtree(tmp_path / "out/shards")
    capsys.readouterr()
    assert shard_pairs([*pairs, "--device", "auto"]) == 0
    assert "0 to make" in capsys.readouterr().out


def test_what_is_remembered_is_known_again(make: Make, vae: VaeEncoder, clip: ClipEncoder, tmp_path: Path) -> None:
    job = make(tmp_path / "d", draws=1, finish=False)
    stamp = stamp_encoders(job.config)
    assert recall_encoders(job.out, stamp) is None
    remember_encoders(job.out, stamp, facts_of(vae, clip))
    assert recall_encoders(job.out, stamp) == facts_of(vae, clip)
    assert recall_encoders(job.out, stamp[::-1]) is None
