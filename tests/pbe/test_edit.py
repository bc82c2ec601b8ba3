"""Editing by function and by command: what comes out, what is refused, what goes on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbe.edit import Editor, edit, load_editor, main
from pbe.editing.inputs import box_mask, read_mask, read_picture
from pipeline.errors import InputError
from tests.pbe.editing.tiny_model import random_picture, write_model, write_pictures

FAST = ("--steps", "2", "--scheduler", "ddim")
DATA = Path("../shared/data")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("edit") / "model")


@pytest.fixture(scope="module")
def editor(folder: Path) -> Editor:
    return load_editor(str(folder))


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    return write_pictures(tmp_path / "in")


def flags(folder: Path, pictures: dict[str, Path], out: Path, *more: str) -> list[str]:
    given = [part for name, path in pictures.items() for part in (f"--{name}", str(path))]
    return ["--model", str(folder), *given, "--out", str(out), *FAST, *more]


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path))


def test_pictures_have_the_sources_size_and_differ_by_seed(editor: Editor, pictures: dict[str, Path]) -> None:
    given = [str(path) for path in pictures.values()]
    made = edit(editor, *given, n=3, steps=2, scheduler="ddim", seed=4)
    again = edit(editor, *given, n=1, steps=2, scheduler="ddim", seed=5)
    assert [picture.shape for picture in made] == [(40, 56, 3)] * 3
    assert len({picture.tobytes() for picture in made}) == 3
    assert np.abs(made[1].astype(int) - again[0]).max() <= 1  # another batch size may round otherwise


def test_paths_images_and_arrays_give_the_same_picture(editor: Editor, pictures: dict[str, Path]) -> None:
    images = [Image.open(path) for path in pictures.values()]
    arrays = [np.asarray(image) for image in images]
    made = [edit(editor, *given, steps=2)[0] for given in (list(map(str, pictures.values())), images, arrays)]
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])


@pytest.mark.parametrize("scale", [1, 5])
def test_with_paste_back_no_pixel_outside_the_mask_changes(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, scale: int
) -> None:
    out = tmp_path / "out.png"
    assert main(flags(folder, pictures, out, "--paste-back", "--guidance", str(scale))) == 0
    source, made, mask = pixels(pictures["source"]), pixels(out), pixels(pictures["mask"]) > 0
    assert np.array_equal(made[~mask], source[~mask])
    assert (made[mask] != source[mask]).mean() > 0.9


def test_the_exemplar_decides_what_is_painted(editor: Editor, pictures: dict[str, Path]) -> None:
    source, mask = str(pictures["source"]), str(pictures["mask"])
    one, other = (edit(editor, source, mask, random_picture(20, 20, seed=seed), steps=2)[0] for seed in (1, 2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("guidance", "halves"), [(1, 1), (5, 2)])
def test_what_comes_before_the_exemplar_is_computed_once_a_picture(
    editor: Editor, pictures: dict[str, Path], guidance: float, halves: int
) -> None:
    rows: dict[str, set[int]] = {"conv1": set(), "proj_out": set()}
    first = editor.parts.model.unet.down_blocks[0]
    watches = [
        module.register_forward_hook(lambda _, inputs, __, name=name: rows[name].add(len(inputs[0])))
        for name, module in (("conv1", first.resnets[0].conv1), ("proj_out", first.attentions[0].proj_out))
    ]
    edit(editor, pictures["source"], pictures["mask"], pictures["exemplar"], n=3, steps=2, guidance=guidance)
    for watch in watches:
        watch.remove()
    assert rows == {"conv1": {3}, "proj_out": {3 * halves}}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "zero one"])
def test_masks_of_any_mode_mean_the_same(editor: Editor, pictures: dict[str, Path], tmp_path: Path, mode: str) -> None:
    mask = Image.open(pictures["mask"])
    if mode == "I;16":
        turned = Image.fromarray(np.asarray(mask).astype(np.uint16) * 257)
    elif mode == "zero one":
        turned = Image.fromarray((np.asarray(mask) > 0).astype(np.uint8))
    else:
        turned = mask.convert(mode)
    turned.save(tmp_path / "mask.png")
    given = (str(pictures["source"]), str(pictures["exemplar"]))
    expected, found = (
        edit(editor, given[0], str(path), given[1], steps=2)[0] for path in (pictures["mask"], tmp_path / "mask.png")
    )
    assert np.array_equal(expected, found)


def test_a_mask_of_half_the_size_is_scaled_and_a_box_is_a_mask(
    folder: Path, pictures: dict[str, Path], tmp_path: Path
) -> None:
    Image.open(pictures["mask"]).resize((28, 20), Image.Resampling.NEAREST).save(tmp_path / "half.png")
    boxed = {name: path for name, path in pictures.items() if name != "mask"}
    assert main(flags(folder, pictures, tmp_path / "a.png")) == 0
    assert main(flags(folder, {**pictures, "mask": tmp_path / "half.png"}, tmp_path / "b.png")) == 0
    assert main(flags(folder, boxed, tmp_path / "c.png", "--box", "16,10,36,24")) == 0
    first = (tmp_path / "a.png").read_bytes()
    assert first == (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_several_scales_and_seeds_give_pictures_and_one_figure(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep.png"
    assert main(flags(folder, pictures, out, "--guidance", "1,2.5,5", "--n", "2")) == 0
    names = {path.name for path in tmp_path.glob("sweep*")}
    assert names == {"sweep.png"} | {f"sweep-g{g}-s{s}.png" for g in ("1", "2.5", "5") for s in (0, 1)}
    height, width, _ = pixels(out).shape
    assert width > 5 * 200 and height > 2 * 200
    printed = capsys.readouterr().out
    assert printed.startswith(f"importing torch and diffusers\nloading {folder}\nmodel: ")
    assert "6 pictures in " in printed and "start-up included: " in printed
    folder_out = tmp_path / "folder"
    assert main(flags(folder, pictures, folder_out, "--n", "2")) == 0
    assert {path.name for path in folder_out.iterdir()} == {"pictures.png", "edited-g5-s0.png", "edited-g5-s1.png"}


def test_the_same_command_gives_the_same_bytes(folder: Path, pictures: dict[str, Path], tmp_path: Path) -> None:
    for out in ("a.png", "b.png"):
        assert main(flags(folder, pictures, tmp_path / out, "--seed", "3")) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_as_diffusers_edits_by_command(folder: Path, pictures: dict[str, Path], tmp_path: Path) -> None:
    assert main(flags(folder, pictures, tmp_path / "a.png", "--compat")) == 0
    assert pixels(tmp_path / "a.png").shape == (40, 56, 3)


def _write_cases(tmp_path: Path, rows: list[str], header: str = "source,mask,exemplar,name") -> Path:
    write_pictures(tmp_path / "in")
    path = tmp_path / "in" / "cases.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _cases(folder: Path, table: Path, out: Path, *more: str) -> list[str]:
    return ["--model", str(folder), "--cases", str(table), "--out", str(out), *FAST, *more]


def test_cases_go_on_where_they_stopped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "source.png,mask.png,exemplar.png"
    table = _write_cases(tmp_path, [f"{row},a", f"{row},b", "source.png,missing.png,exemplar.png,c"])
    out = tmp_path / "out"
    assert main(_cases(folder, table, out)) == 1
    printed = capsys.readouterr()
    assert "c: mask" in printed.out and "missing.png" in printed.out and "2 made, 1 failed" in printed.out
    kept = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.iterdir()}
    assert kept.keys() == {"a.png", "a.json", "b.png", "b.json"}
    Image.open(tmp_path / "in" / "mask.png").save(tmp_path / "in" / "missing.png")
    assert main(_cases(folder, table, out)) == 0
    assert "2 were finished, 1 made, 0 failed" in capsys.readouterr().out
    for name, (time, content) in kept.items():
        assert ((out / name).stat().st_mtime_ns, (out / name).read_bytes()) == (time, content)
    assert json.loads((out / "c.json").read_text())["settings"]["steps"] == 2


def test_what_was_lost_of_a_batch_is_made_again_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    table = _write_cases(tmp_path, [f"source.png,mask.png,exemplar.png,{name}" for name in "abcde"])
    for out, batch in (("whole", "3"), ("cut", "3")):
        assert main(_cases(folder, table, tmp_path / out, "--batch", batch)) == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    for name in ("b.json", "b.png", "d.json"):
        (tmp_path / "cut" / name).unlink()
    assert main(_cases(folder, table, tmp_path / "cut", "--batch", "3")) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "cut").iterdir()} == whole


def test_cases_with_other_settings_are_refused_unless_overwritten(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = _write_cases(tmp_path, ["source.png,mask.png,exemplar.png,a"])
    out = tmp_path / "out"
    assert main(_cases(folder, table, out)) == 0
    before = (out / "a.png").read_bytes()
    capsys.readouterr()
    assert main(_cases(folder, table, out, "--guidance", "2")) == 2
    assert "a (guidance [5.0] -> [2.0])" in capsys.readouterr().err
    assert (out / "a.png").read_bytes() == before
    assert main(_cases(folder, table, out, "--guidance", "2", "--overwrite")) == 0
    assert (out / "a.png").read_bytes() != before


def test_a_picture_that_was_deleted_or_a_record_that_was_cut_is_made_again(folder: Path, tmp_path: Path) -> None:
    table = _write_cases(tmp_path, [f"source.png,mask.png,exemplar.png,{name}" for name in "abc"])
    out = tmp_path / "out"
    assert main(_cases(folder, table, out)) == 0
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "a.png").unlink()
    (out / "b.json").write_bytes(whole["b.json"][:20])
    assert main(_cases(folder, table, out)) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_a_changed_input_is_told_and_another_way_to_write_a_path_is_none(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _write_cases(tmp_path, ["source.png,mask.png,exemplar.png,a"])
    out = tmp_path / "out"
    assert main(_cases(folder, table, out)) == 0
    monkeypatch.chdir(tmp_path)
    assert main(_cases(folder, Path("in/cases.csv"), Path("out"))) == 0
    assert "1 were finished, 0 made" in capsys.readouterr().out
    Image.fromarray(random_picture(30, 30, seed=9)).save(tmp_path / "in" / "exemplar.png")
    assert main(_cases(folder, table, out)) == 2
    assert "a (exemplar " in capsys.readouterr().err


def test_tables_from_spreadsheets_are_understood(folder: Path, tmp_path: Path) -> None:
    table = _write_cases(tmp_path, [])
    table.write_bytes("\ufeffSource, Mask ,exemplar,name,\r\n source.png,mask.png ,exemplar.png,a,\r\n\r\n".encode())
    assert main(_cases(folder, table, tmp_path / "out")) == 0
    assert (tmp_path / "out" / "a.png").exists()


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("source,mask", ["a,b"], "lacks exemplar"),
        ("source,mask,exemplar,gudance", ["a,b,c,5"], "has unknown gudance"),
        ("source,exemplar", ["a,c"], "needs mask or box"),
        ("source,mask,exemplar", [], "no rows"),
        ("source,mask,exemplar", ["a,b"], "line 2: has another number of fields"),
        ("source,mask,exemplar", ["a,,c"], "line 2: mask, box: give one"),
        ("source,mask,exemplar", ["a.png,b,c", "a.png,d,c"], "cases a-c and a-c would both write a-c.png"),
        ("source,mask,exemplar,name", ["a,b,c,../x"], "line 2: name '../x'"),
        ("source,mask,exemplar,guidance", ["a,b,c,five"], "line 2: --guidance five"),
        ("source,mask,exemplar,seed", ["a,b,c,1.5"], "line 2: seed 1.5: give a whole number"),
        ("source,mask,exemplar,source", ["a,b,c,a"], "names a column twice"),
        ("source,mask,exemplar,name", ["a,b,c,x", "a,b,c,X"], "cases x and X would both write X.png"),
        (
            "source,mask,exemplar,name,guidance",
            ['a,b,c,x,"1,5"', "a,b,c,x-g5-s0,5"],
            "cases x and x-g5-s0 would both write x-g5-s0.png",
        ),
    ],
)
def test_wrong_tables_of_cases_are_refused_by_place_and_value(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, rows: list[str], expected: str
) -> None:
    table = _write_cases(tmp_path, rows, header)
    assert main(_cases(folder, table, tmp_path / "out")) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_mistakes_are_told_by_flag_and_value_without_a_traceback(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (56, 40)).save(tmp_path / "empty.png")
    Image.new("L", (40, 40), 255).save(tmp_path / "square.png")
    Image.new("L", (40, 56), 255).save(tmp_path / "turned.png")
    (tmp_path / "text.png").write_text("no picture")
    cut = pictures["exemplar"].read_bytes()[:200]
    (tmp_path / "cut.png").write_bytes(cut)
    out = tmp_path / "out.png"
    for changed, more, expected in (
        ({"mask": tmp_path / "empty.png"}, (), "marks nothing to repaint"),
        ({"mask": tmp_path / "square.png"}, (), "40 x 40 px for a source of 56 x 40"),
        ({"mask": tmp_path / "turned.png"}, (), "turned by 90 degrees"),
        ({"mask": tmp_path / "text.png"}, (), "text.png: cannot be read as a picture"),
        ({"exemplar": tmp_path / "cut.png"}, (), "cut.png: cannot be read as a picture"),
        ({"source": tmp_path / "none.png"}, (), "none.png: cannot be read (no such file)"),
        ({}, ("--box", "0,0,9,9"), "give one of the two"),
        ({}, ("--guidance", "5,x"), "--guidance 5,x"),
        ({}, ("--guidance", "0.5"), "--guidance 0.5"),
        ({}, ("--steps", "0"), "--steps 0"),
        ({}, ("--n", "0"), "--n 0"),
        ({}, ("--resolution", "10"), "--resolution 10"),
        ({}, ("--device", "cuda:99"), "--device cuda:99"),
        ({}, ("--resolution", "100000000"), "--resolution 100000000"),
        ({}, ("--steps", "1000"), "--steps 1000"),
        ({}, ("--device", "meta"), "--device meta"),
        ({}, ("--paste-back", "--blend", "crop"), "--paste-back and --blend crop"),
        ({}, ("--model", str(tmp_path / "nothing")), "nothing: no such folder"),
    ):
        assert main(flags(folder, {**pictures, **changed}, out, *more)) == 2, expected
        assert expected in capsys.readouterr().err
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    before = pictures["source"].read_bytes()
    for place, more, expected in (
        (tmp_path / "out.gif", (), "out.gif: ends in .gif"),
        (tmp_path / "folder.png", (), "folder.png: is a folder"),
        (tmp_path / "file" / "out.png", (), "file is a file"),
        (tmp_path / "file", (), "file is a file"),
        (tmp_path / "out.jpg", ("--paste-back",), "JPEG changes the pixels"),
        (pictures["source"], (), "would replace an input"),
    ):
        assert main(flags(folder, pictures, place, *more)) == 2, expected
        assert expected in capsys.readouterr().err
    assert not out.exists() and pictures["source"].read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_paste_back_writes_files_that_lose_nothing(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    assert main(flags(folder, pictures, out, "--paste-back")) == 0
    outside = pixels(pictures["mask"]) == 0
    assert np.array_equal(pixels(out)[outside], pixels(pictures["source"])[outside])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_edits_about_the_same(
    folder: Path, pictures: dict[str, Path], tmp_path: Path, dtype: str
) -> None:
    for name, more in (("full", ()), ("half", ("--dtype", dtype))):
        assert main(flags(folder, pictures, tmp_path / f"{name}.png", *more)) == 0
    full, half = (pixels(tmp_path / f"{name}.png").astype(int) for name in ("full", "half"))
    assert np.abs(full - half).mean() < 8


def _unlike_files() -> dict[str, Image.Image]:
    """Pictures in modes that a PIL image and a file might mean different things in."""
    colours = random_picture(40, 56)
    clear = np.dstack([colours, np.tile(np.linspace(0, 255, 56).astype(np.uint8), (40, 1))])
    return {
        "deep.png": Image.fromarray(colours[..., 0].astype(np.uint16) * 200),
        "clear.png": Image.fromarray(clear),
        "palette.png": Image.fromarray(colours).convert("P"),
        "inks.tif": Image.fromarray(colours).convert("CMYK"),
        "shares.tif": Image.fromarray(colours[..., 0].astype(np.float32) / 255),
    }


@pytest.mark.parametrize("name", _unlike_files())
def test_a_pil_image_means_what_its_file_means(tmp_path: Path, name: str) -> None:
    image = _unlike_files()[name]
    image.save(tmp_path / name)
    read = read_picture(str(tmp_path / name), "source")
    assert np.array_equal(read_picture(image, "source"), read)
    assert np.array_equal(read_mask(image, read), read_mask(str(tmp_path / name), read))


@pytest.mark.parametrize(
    "changed",
    [
        {"scheduler": "euler"},
        {"blend": "past"},
        {"steps": 2.5},
        {"n": 1.5},
        {"seed": None},
        {"guidance": "5"},
        {"source": [[1]]},
        {"source": np.zeros((0, 9, 3), np.uint8)},
        {"exemplar": np.zeros((0, 0, 3), np.uint8)},
        {"mask": np.zeros((0, 0), bool)},
        {"mask": None},
        {"mask": np.ones((40, 56), np.float32)},
    ],
)
def test_the_function_refuses_what_it_cannot_use(
    editor: Editor, pictures: dict[str, Path], changed: dict[str, Any]
) -> None:
    given: dict[str, Any] = {name: str(path) for name, path in pictures.items()}
    with pytest.raises(InputError, match=next(iter(changed))):
        edit(editor, **{**given, "steps": 2, **changed})


@pytest.mark.parametrize("box", ["1,2,3", "5,5,5,9", "-1,0,5,5", "0,0,57,9", "a,b,c,d"])
def test_boxes_outside_the_source_are_refused(box: str) -> None:
    with pytest.raises(InputError, match="--box"):
        box_mask(box, random_picture(40, 56))


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
    assert main(flags(folder, triple, out, "--paste-back")) == 0
    source, mask, made = pixels(triple["source"]), pixels(triple["mask"]), pixels(out)
    assert made.shape == source.shape and np.array_equal(made[~mask], source[~mask])
    assert (made[mask] != source[mask]).mean() > 0.5


def test_a_large_photo_with_a_small_mask_keeps_every_pixel_away_from_it(folder: Path, tmp_path: Path) -> None:
    photo = np.tile(random_picture(200, 300), (10, 10, 1))
    Image.fromarray(photo).save(tmp_path / "photo.png", compress_level=0)
    Image.fromarray(random_picture(30, 20)).save(tmp_path / "exemplar.png")
    given = {"source": tmp_path / "photo.png", "exemplar": tmp_path / "exemplar.png"}
    assert main(flags(folder, given, tmp_path / "out.png", "--box", "2900,1900,2960,1950")) == 0
    made = pixels(tmp_path / "out.png")
    assert made.shape == (2000, 3000, 3)
    changed = np.argwhere((made != photo).any(axis=2))
    assert changed.min(axis=0).min() >= 1800 and (made[1900:1950, 2900:2960] != photo[1900:1950, 2900:2960]).any()
