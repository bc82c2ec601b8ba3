import shutil
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.pairs import shard_pairs
from tests.pipeline.conftest import problems
from tests.pipeline.pairing.own_pairs import make, rows_of


@pytest.mark.heavy
def test_a_table_may_give_a_photo_several_masks_and_names_of_any_kind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "deep/er").mkdir(parents=True)
    shutil.copy(folder / "images/a.jpg", folder / "deep/er/A, b.JPG")
    lines = ["image,mask,exemplar,label", "images/a.jpg,masks/a.png,,cat", "images/a.jpg,masks/b.png,images/c.jpg,"]
    lines += ['"deep/er/A, b.JPG",./masks/a.png,,', "images/a.jpg,masks/c.png,,", ""]
    (folder / "pairs.csv").write_text("\ufeff" + "\r\n".join(lines))
    assert make(folder, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "4 pairs of 2 photos" in said
    assert "1 pairs are in no draw: a photo has 3 masks; --draws 3 takes all" in said
    assert make(folder, tmp_path / "out", "--draws", "3") == 0
    rows = rows_of(tmp_path / "out")
    assert {(row["image_id"], row["box_id"]) for row in rows} == {
        *(("images/a.jpg", box) for box in range(3)),
        ("deep/er/A, b.JPG", 0),
    }
    assert {row["box_id"]: row["label_name"] for row in rows if row["box_id"]} == {1: "pair", 2: "pair"}
    assert {row["label_name"] for row in rows if row["image_id"] == "images/a.jpg"} == {"cat", "pair"}
    assert problems(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("image,masks\na,b\n", "its columns are image,masks; give image,mask"),
        ("image;mask\na;b\n", "its columns are image;mask"),
        ("image,mask\nimages/a.jpg\n", "line 2: the number of fields differs from the header"),
        ("image,mask\nimages/a.jpg,masks/a.png,more\n", "line 2: the number of fields differs from the header"),
        ("image,mask\n,masks/a.png\n", "line 2: names no image"),
        ("image,mask\nimages/a.jpg,../secret.png\n", "line 2: mask ../secret.png: give a path relative"),
        ("image,mask\n/etc/passwd,masks/a.png\n", "line 2: image /etc/passwd: give a path relative"),
        ("image,mask\n", "no photo has a mask"),
        (
            "image,mask,label\nimages/a.jpg,masks/a.png,x\nimages/a.jpg,masks/a.png,\n./images/a.jpg,masks/a.png,x\n",
            "lines 2 and 4 are the same pair, images/a.jpg with masks/a.png; take one of them out",
        ),
        (
            "image,mask\nimages/caf\u00e9.jpg,masks/a.png\nimages/cafe\u0301.jpg,masks/a.png\n",
            "lines 2 and 3 are the same pair, images/cafe\u0301.jpg with masks/a.png; take one of them out",
        ),
        (
            'image,mask,label\nimages/a.jpg,masks/a.png,"x\nimages/b.jpg,masks/b.png,y\n',
            "unexpected end of data, at line 3",
        ),
        ("image,mask\nimages/z.jpg,masks/a.png\n", "none of 1 pairs has both a photo and a mask that can be read"),
    ],
)
def test_a_wrong_table_is_refused_before_any_work(folder: Path, tmp_path: Path, table: str, what: str) -> None:
    (folder / "pairs.csv").write_text(table)
    with pytest.raises(InputError) as refusal:
        make(folder, tmp_path / "out")
    assert what in str(refusal.value)
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_wrong_folder_is_refused_saying_what_was_expected(folder: Path, tmp_path: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"no picture in images/ and masks/, and no pairs.csv; give a folder that"):
        make(folder / "empty", tmp_path / "out")
    with pytest.raises(InputError, match=r"absent: no such folder; give a folder that holds images/, masks/"):
        make(folder / "absent", tmp_path / "out")
    (folder / "images/a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"images/a.jpg and images/a.png have the same name"):
        make(folder, tmp_path / "out")
    (folder / "images/a.png").unlink()
    for path in list((folder / "masks").iterdir()):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    with pytest.raises(InputError, match=r"no photo has a mask of its name \(photos: .*a.jpg.*; masks: .*a_mask.png"):
        make(folder, tmp_path / "out")
    (tmp_path / "link").symlink_to(folder)
    for out in (folder, tmp_path / "link", folder / "images", folder / "masks/deeper"):
        with pytest.raises(InputError, match="is where the pairs are"):
            make(folder, out)
    with pytest.raises(InputError, match="is a file; give its folder"):
        make(folder / "images/a.jpg", tmp_path / "out")


def test_a_flag_that_cannot_work_is_refused(folder: Path, tmp_path: Path) -> None:
    for flags, what in (
        (("--resolution", "60"), "multiple of the VAE's factor"),
        (("--split-shares", "0", "1", "0"), "give --split-shares 1 0 0"),
        (("--model", str(folder)), "has no vae/; give a complete model, or name it with --vae"),
        (("--model", str(folder / "none")), "none: no such folder or file; give the folder of a model, or name its"),
        (("--model", str(folder / "images/a.jpg")), "is a file; give the folder that `python -m pbe.convert --model "),
        (("--workers", "-1"), "--workers -1"),
    ):
        with pytest.raises(InputError) as refusal:
            make(folder, tmp_path / "out", *flags)
        assert what in str(refusal.value)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file is a file; give another place"):
        make(folder, tmp_path / "file" / "out")
    with pytest.raises(InputError, match="--model: give the model that will be fine-tuned"):
        shard_pairs(["--pairs", str(folder), "--out", str(tmp_path / "out")])
    with pytest.raises(InputError, match="--pairs: give a folder"):
        shard_pairs(["--out", str(tmp_path / "out")])
