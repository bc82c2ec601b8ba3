"""Photos whose names one system wrote and masks whose names another did."""

import shutil
import unicodedata
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.pairing.folder import read_pairs
from pipeline.pairing.table import tabulate
from pipeline.storage.folder import Folder


def rename(path: Path, stem: str, form: str) -> None:
    path.rename(path.with_stem(unicodedata.normalize(form, stem)))


@pytest.mark.parametrize("photos", ["NFC", "NFD"])
def test_pairs_of_a_folder_or_a_table_go_together_whatever_form_their_names_have(folder: Path, photos: str) -> None:
    masks = "NFD" if photos == "NFC" else "NFC"
    shutil.copytree(folder / "images", folder / "exemplars")
    for name in "abcde":
        rename(folder / f"images/{name}.jpg", f"caf\u00e9 {name}", photos)
        rename(folder / f"masks/{name}.png", f"caf\u00e9 {name}", masks)
        rename(folder / f"exemplars/{name}.jpg", f"caf\u00e9 {name}", masks)
    said: list[str] = []
    pairs = read_pairs(Folder(str(folder)), say=said.append)
    assert said == []
    assert [pair.image_id for pair in pairs] == [f"caf\u00e9 {name}" for name in "abcde"]
    assert all(pair.mask and pair.exemplar for pair in pairs)

    rows = [f"images/caf\u00e9 {name}.jpg,masks/caf\u00e9 {name}.png" for name in "abcde"]
    (folder / "pairs.csv").write_text("\n".join(["image,mask", unicodedata.normalize("NFD", rows[0]), *rows[1:]]))
    pairs = read_pairs(Folder(str(folder)), say=said.append)
    table = tabulate(Folder(str(folder)), pairs, repaint="white").to_pylist()
    assert all(row["image_sha256"] and row["mask_sha256"] for row in table)
    assert len({pair.image_id for pair in pairs}) == 5


def test_two_spellings_of_one_name_in_a_folder_are_refused_by_name(folder: Path) -> None:
    for form in ("NFC", "NFD"):
        shutil.copy(folder / "images/a.jpg", folder / "images" / unicodedata.normalize(form, "\u00e9.jpg"))
    with pytest.raises(InputError, match=r"'images/e\\u0301.jpg' and 'images/\\xe9.jpg' have the same name"):
        read_pairs(Folder(str(folder)), say=print)
