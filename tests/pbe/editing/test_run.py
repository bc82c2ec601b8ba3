"""One picture by command: what comes out."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dashboards.browse import main as browse
from pbe.edit import main
from tests.pbe.editing.commands import cases_flags, edit_flags
from tests.pbe.editing.tiny_model import random_picture

DATA = Path("../shared/data")


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("scale", [1, 5])
def test_with_paste_back_no_pixel_outside_the_mask_changes(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, scale: int
) -> None:
    out = tmp_path / "out.png"
    assert main(edit_flags(folder, pictures, out, "--paste-back", "--guidance", str(scale))) == 0
    source, made, mask = pixels(pictures["source"]), pixels(out), pixels(pictures["mask"]) > 0
    assert np.array_equal(made[~mask], source[~mask])
    assert (made[mask] != source[mask]).mean() > 0.9


def test_a_mask_of_half_the_size_is_scaled_and_a_box_is_a_mask(
    folder: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    Image.open(pictures["mask"]).resize((28, 20), Image.Resampling.NEAREST).save(tmp_path / "half.png")
    boxed = {name: path for name, path in pictures.items() if name != "mask"}
    assert main(edit_flags(folder, pictures, tmp_path / "a.png")) == 0
    assert main(edit_flags(folder, {**pictures, "mask": tmp_path / "half.png"}, tmp_path / "b.png")) == 0
    assert main(edit_flags(folder, boxed, tmp_path / "c.png", "--box", "16,10,36,24")) == 0
    first = (tmp_path / "a.png").read_bytes()
    assert first == (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_several_scales_and_seeds_give_pictures_and_one_figure(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep.png"
    assert main(edit_flags(folder, pictures, out, "--guidance", "1,2.5,5", "--n", "2")) == 0
    names = {path.name for path in tmp_path.glob("sweep*")}
    assert names == {"sweep.png"} | {f"sweep-g{g}-s{s}.png" for g in ("1", "2.5", "5") for s in (0, 1)}
    height, width, _ = pixels(out).shape
    assert width > 5 * 200 and height > 2 * 200
    printed = capsys.readouterr().out
    assert printed.startswith(f"importing torch and diffusers\nloading {folder}\nmodel: ")
    assert "6 pictures in " in printed and "start-up included: " in printed and "look at it" not in printed
    folder_out = tmp_path / "folder"
    assert main(edit_flags(folder, pictures, folder_out, "--n", "2")) == 0
    assert {path.name for path in folder_out.iterdir()} == {"pictures.png", "edited-g5-s0.png", "edited-g5-s1.png"}
    [command] = re.findall("look at it: python -m dashboards.browse (.*)", capsys.readouterr().out)
    assert browse(shlex.split(command)) == 0 and (tmp_path / "folder.html").exists()


def test_the_same_command_gives_the_same_bytes(folder: Path, pictures: dict[str, Path], tmp_path: Path) -> None:
    for out in ("a.png", "b.png"):
        assert main(edit_flags(folder, pictures, tmp_path / out, "--seed", "3")) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_as_diffusers_edits_by_command(folder: Path, pictures: dict[str, Path], tmp_path: Path) -> None:
    assert main(edit_flags(folder, pictures, tmp_path / "a.png", "--compat")) == 0
    assert pixels(tmp_path / "a.png").shape == (40, 56, 3)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_paste_back_writes_files_that_lose_nothing(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    assert main(edit_flags(folder, pictures, out, "--paste-back")) == 0
    outside = pixels(pictures["mask"]) == 0
    assert np.array_equal(pixels(out)[outside], pixels(pictures["source"])[outside])


@pytest.mark.heavy
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_edits_about_the_same(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, dtype: str
) -> None:
    for name, more in (("full", ()), ("half", ("--dtype", dtype))):
        assert main(edit_flags(folder, pictures, tmp_path / f"{name}.png", *more)) == 0
    full, half = (pixels(tmp_path / f"{name}.png").astype(int) for name in ("full", "half"))
    assert np.abs(full - half).mean() < 8


@pytest.mark.heavy
@pytest.mark.skipif(not (DATA / "pbe_examples").exists(), reason=f"needs {DATA}/pbe_examples")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_published_triples_are_edited_at_their_sizes(folder: Path, tmp_path: Path, number: int) -> None:
    examples = DATA / "pbe_examples" / "examples"
    triple = {
        "source": examples / "image" / f"example_{number}.png",
        "mask": examples / "mask" / f"example_{number}.png",
        "exemplar": examples / "reference" / f"example_{number}.jpg",
    }
    out = tmp_path / "out.png"
    assert main(edit_flags(folder, triple, out, "--paste-back")) == 0
    source, mask, made = pixels(triple["source"]), pixels(triple["mask"]), pixels(out)
    assert made.shape == source.shape and np.array_equal(made[~mask], source[~mask])
    assert (made[mask] != source[mask]).mean() > 0.5


def test_a_large_photo_with_a_small_mask_keeps_every_pixel_away_from_it(folder: Path, tmp_path: Path) -> None:
    photo = np.tile(random_picture(200, 300), (10, 10, 1))
    Image.fromarray(photo).save(tmp_path / "photo.png", compress_level=0)
    Image.fromarray(random_picture(30, 20)).save(tmp_path / "exemplar.png")
    given = {"source": tmp_path / "photo.png", "exemplar": tmp_path / "exemplar.png"}
    assert main(edit_flags(folder, given, tmp_path / "out.png", "--box", "2900,1900,2960,1950")) == 0
    made = pixels(tmp_path / "out.png")
    assert made.shape == (2000, 3000, 3)
    changed = np.argwhere((made != photo).any(axis=2))
    assert changed.min(axis=0).min() >= 1800 and (made[1900:1950, 2900:2960] != photo[1900:1950, 2900:2960]).any()


def test_a_gpu_that_is_not_there_is_refused_and_nothing_is_written(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    assert main(edit_flags(folder, pictures, out, "--device", "cuda:99")) == 2
    assert "--device cuda:99" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.heavy
def test_a_model_that_knows_its_trainings_holes_says_when_one_is_unlike_them_and_crops_for_them(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knowing = shutil.copytree(folder, tmp_path / "knowing")
    note = json.loads((knowing / "pbe.json").read_text())
    sides = dict(zip(("1", "5", "25", "50", "75", "95", "99"), (0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.95), strict=True))
    (knowing / "pbe.json").write_text(json.dumps({**note, "hole_sides": sides}))
    table, out = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("source,mask,exemplar,name\n" + ",".join([*map(str, pictures.values()), "a"]) + "\n")
    assert main(cases_flags(folder, table, out)) == 0 and main(cases_flags(knowing, table, out)) == 2
    printed = capsys.readouterr()
    assert "hole of" not in printed.out and "a (aims [0.25, 0.66" in printed.err and "-> [0.8, 0.8])" in printed.err
    made = [(out / "a.png").read_bytes()]
    for context in ("auto", "whole"):
        assert main(edit_flags(knowing, pictures, tmp_path / f"{context}.png", "--context", context)) == 0
        said = capsys.readouterr().out
        assert ("hole of 0.50 of the side of what the model sees, less than" in said) == (context == "whole")
        made.append((tmp_path / f"{context}.png").read_bytes())
    assert "(0.70 or more): leave --context whole out" in said and len(set(made)) == 3
