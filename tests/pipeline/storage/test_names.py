"""Names that people read as one and systems write in several ways."""

import unicodedata
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.storage.names import forms, normal, stored_path

NFC, NFD = "caf\u00e9/M\u00fcnster.jpg", "cafe\u0301/Mu\u0308nster.jpg"


@given(st.text(max_size=20))
def test_a_name_is_equal_to_its_other_form_and_to_no_other_name(name: str) -> None:
    assert normal(unicodedata.normalize("NFD", name)) == normal(name) == normal(normal(name))
    assert not name.isascii() or normal(name) == name


@pytest.mark.parametrize(("stored", "asked"), [*product((NFC, NFD), repeat=2), (NFC.replace("\u00fc", "u\u0308"), NFC)])
def test_a_local_file_is_found_by_any_form_of_its_path(tmp_path: Path, stored: str, asked: str) -> None:
    (tmp_path / stored).parent.mkdir()
    (tmp_path / stored).touch()
    assert stored_path(tmp_path / asked) == tmp_path / stored
    for absent in ("caf\u00e9/none.jpg", "caf\u00e9/M\u00fcnchen.jpg", "plain.jpg"):
        assert not stored_path(tmp_path / absent).exists()


def test_two_spellings_of_one_name_are_refused_unless_one_is_as_asked(tmp_path: Path) -> None:
    both = "e\u0301\u00fc", "\u00e9u\u0308"
    for name in both:
        (tmp_path / name).touch()
    assert stored_path(tmp_path / both[0]).name == both[0]
    with pytest.raises(InputError, match="two spellings of one name"):
        stored_path(tmp_path / "\u00e9\u00fc")


def test_a_remote_path_is_tried_as_given_first_and_a_plain_one_once() -> None:
    assert list(forms("bucket/a[1].jpg")) == ["bucket/a[1].jpg"]
    assert next(forms(NFC)) == NFC
    assert {unicodedata.normalize("NFD", NFC), NFC, "caf\u00e9/Mu\u0308nster.jpg"} < set(forms(NFC))
