import json
import re
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dashboards.browse import main as browse
from pbe.edit import main as edit
from pbe.feed.config import FeedConfig, MaskMode
from pbe.feed.fixed_batches import fixed_batches
from pbe.weights.model_files import read_json
from pipeline.decoding.jpeg import decode_jpeg
from pipeline.draws.raster import raster_mask, reduce_mask
from pipeline.errors import InputError
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from tests.pbe.conftest import LDM_SIZE, diffusers_pipeline, save_published, tiny_vae
from tests.pbe.training.rank_group import RankGroup
from tests.pipeline.conftest import files_of, problems
from tests.pipeline.draws.blobs import blobs
from tests.pipeline.pairing.own_pairs import SMALL, Jpeg, contents, make, rows_of, write_mask, write_pairs
from tests.pipeline.storage.odd_names import ALL_OF_IT

RUN_MODULE = "tests.pbe.training.preloaded.run_module"


@pytest.mark.heavy
def test_a_folder_of_pairs_becomes_a_sound_dataset(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(folder, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "5 pairs of 5 photos" in said
    assert "10 samples" in said
    assert problems(tmp_path / "out") == []
    rows = rows_of(tmp_path / "out")
    assert [row["key"] for row in rows] == [f"{name}-0-{draw}" for draw in (0, 1) for name in "abcde"]
    assert {row["mask_shape"] for row in rows} == {"traced"}
    assert all(row["box"] == row["box_source"] for row in rows)
    assert len({tuple(row["crop"]) for row in rows}) > 5
    assert {"overview.png", "funnel.png", "card.md", "shards.parquet"} <= set(files_of(tmp_path / "out"))
    assert make(folder, tmp_path / "out") == 0
    again = capsys.readouterr().out
    assert "nothing to do" in again
    for printed in (said, again):
        assert "kept boxes drawn: 100.0 %; by --draws 1: 100.0 %, 2:" in printed
        [command] = re.findall("look at it: python -m dashboards.browse (.*)", printed)
        assert browse(shlex.split(command)) == 0
    assert (tmp_path / "out.html").read_bytes().count(b"<article ") == 10


@pytest.mark.processes
def test_the_same_command_ends_what_a_signal_interrupted_with_the_same_bytes(tmp_path: Path, jpeg: Jpeg) -> None:
    names = tuple(f"photo{number:02d}" for number in range(10))
    flags = ("--photos-per-unit", "1", "--resolution", "128")
    folder, out = write_pairs(tmp_path / "own", jpeg, names), tmp_path / "out"
    log = tmp_path / "log"
    command = ["pipeline.pairs", "--pairs", str(folder), "--out", str(out), *SMALL, *flags]
    with RankGroup(log, RUN_MODULE, command, world=1) as running:
        running.wait_until(lambda: any(out.glob("units/*.json")))
        running.kill(signal.SIGINT)
        codes = running.wait()
    said = log.read_text()
    assert codes == [130], said
    assert "interrupted; finished units are kept: run the same command again to go on" in said
    assert "Traceback" not in said
    kept = len(list(out.glob("units/*.json")))
    assert 0 < kept < 20
    assert not (out / "manifest.json").exists()
    assert make(folder, out, *flags) == 0
    make(folder, tmp_path / "whole", *flags)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.heavy
def test_changed_pairs_on_the_same_output_are_refused_by_name(folder: Path, tmp_path: Path, jpeg: Jpeg) -> None:
    make(folder, tmp_path / "out")
    write_mask(folder / "masks/a.png", blobs(9, 120, 150, grain=8, share=0.3))
    (folder / "images/b.jpg").write_bytes(jpeg((151, 121)))
    for kind in ("images/c.jpg", "masks/c.png"):
        (folder / kind).rename(folder / kind.replace("c.", "new."))
    with pytest.raises(InputError, match="--overwrite to start anew") as refusal:
        make(folder, tmp_path / "out")
    assert (
        "was begun with other pairs (1 gone: images/c.jpg with masks/c.png; 1 new: images/new.jpg with masks/new.png; "
        "2 changed: images/a.jpg with masks/a.png (mask), images/b.jpg with masks/b.png (image))"
    ) in str(refusal.value)
    assert make(folder, tmp_path / "out", "--overwrite") == 0
    assert problems(tmp_path / "out") == []
    assert {row["image_id"] for row in rows_of(tmp_path / "out")} == {"a", "b", "d", "e", "new"}
    with pytest.raises(InputError, match="seed: 0 there, 1 now"):
        make(folder, tmp_path / "out", "--seed", "1")


@pytest.mark.heavy
def test_pairs_feed_the_trainer(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "out", "--keep-source")
    rows = {row["key"]: row for row in rows_of(tmp_path / "out")}
    modes: tuple[MaskMode, ...] = ("drawn", "box")
    for masks in modes:
        batch = next(fixed_batches(FeedConfig(str(tmp_path / "out"), batch_size=4, masks=masks)))
        for key, mask in zip(batch.keys, batch.masks, strict=True):
            polygon = np.array(rows[key]["mask_polygon"], np.float32).reshape(-1, 2)
            exact = reduce_mask(raster_mask(polygon, 64), 8)
            assert np.array_equal(mask[0].numpy(), exact) == (masks == "drawn")
            assert (mask[0].numpy() >= exact).all()


@pytest.mark.processes
def test_the_printed_commands_train_a_model_fine_tune_it_on_other_pairs_and_one_of_any_size_and_that_edits(
    made: tuple[Path, Path], tmp_path: Path, jpeg: Jpeg, capsys: pytest.CaptureFixture[str]
) -> None:
    def train() -> Path:
        """Run the command that pairs printed, for two steps."""
        line = capsys.readouterr().out.splitlines()[-1]
        assert line.startswith("fine-tune: python -m pbe.train ")
        arguments = [*shlex.split(line)[4:], "--steps", "2", "--workers", "0"]
        with RankGroup(tmp_path / "log", "pbe.train.main", [arguments], world=1) as group:
            assert group.wait() == [0], (tmp_path / "log").read_text()
        return Path(arguments[arguments.index("--out") + 1])

    assert make(*made) == 0  # complete already
    first = train()
    odd = tmp_path / ALL_OF_IT
    others = write_pairs(odd / "others", jpeg, ("x", "y"))
    rows = [f"images/{name}.jpg,masks/{name}.png,$x^{{$" for name in "xy"]
    (others / "pairs.csv").write_text("\n".join(["image,mask,label", *rows]))
    assert make(others, odd / "second", "--model", str(first)) == 0
    vaes = [read_manifest(Folder(str(name)))["recipe"]["vae"] for name in (made[1], odd / "second")]
    assert vaes[0] == vaes[1]
    tuned = train()
    losses = [json.loads(line)["loss"] for line in (tuned / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    other_size = diffusers_pipeline(tiny_vae(), size=LDM_SIZE)
    own = save_published(other_size, odd / "of its own size")
    assert make(others, odd / "third", "--model", own, "--resolution", "0") == 0
    assert read_json(train() / "model/unet/config.json")["block_out_channels"] == list(LDM_SIZE.widths)

    given = {"source": "images/x.jpg", "mask": "masks/x.png", "exemplar": "images/y.jpg"}
    flags = [part for name, path in given.items() for part in (f"--{name}", str(others / path))]
    out = str(odd / "edited.png")
    assert edit(["--model", str(tuned), *flags, "--out", out, "--steps", "2", "--paste-back"]) == 0
    photo = decode_jpeg((others / "images/x.jpg").read_bytes())
    mask = np.asarray(Image.open(others / "masks/x.png")) > 0
    edited = np.asarray(Image.open(odd / "edited.png"))
    assert np.array_equal(edited[~mask], photo[~mask])
    assert (edited[mask] != photo[mask]).any(axis=1).mean() > 0.5
    assert browse([str(tuned), "--sheet", str(odd / "sheet.html")]) == 0
