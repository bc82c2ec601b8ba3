"""Records of finished cases, from here or from anywhere: read, or refused by name; no name leads out of the folder."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.editing.case import Case
from pbe.editing.finished import read_finished
from pbe.editing.outputs import FOLDERS_STEM, FOLDERS_SUFFIX, Outputs
from pbe.editing.records import write_record
from pipeline.errors import InputError
from pipeline.storage.folder import Folder

CASE: dict[str, Any] = {"name": "a", "source": "s.png", "exemplar": "e.png", "mask": "m.png"}
CASE |= {"guidance": [1.0, 5.0], "seeds": [3]}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["", "../a", "/etc/passwd", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CASE, "table"]), inner, max_size=3),
    max_leaves=6,
)


def record_with(**changes: Any) -> bytes:
    return json.dumps({"case": {**CASE, **changes}, "settings": {}, "inputs": {}}).encode()


@pytest.mark.parametrize(("note", "step"), [({"weights": "ema", "step": 7, "encoders": {}}, 7), ({}, None)])
def test_what_is_recorded_is_read_back(tmp_path: Path, note: dict[str, Any], step: int | None) -> None:
    outputs = Outputs(Folder(str(tmp_path / "out")), FOLDERS_STEM, FOLDERS_SUFFIX)
    case = Case("a", "s.png", "e.png", box="0,0,9,9", table=str(tmp_path / "in" / "cases.csv"), seeds=(1, 2))
    write_record(outputs, case, {"steps": 50}, {"source": "0" * 16}, model_note=note)
    read = read_finished((tmp_path / "out" / "a.json").read_bytes(), "a.json")
    assert read.case == Case("a", "s.png", "e.png", box="0,0,9,9", seeds=(1, 2))
    assert read.settings == {"steps": 50} and read.digests == {"source": "0" * 16}
    assert read.lineage == {"table": "../in/cases.csv", "weights": note.get("weights"), "step": step}


@given(st.dictionaries(st.sampled_from(list(CASE)), VALUES, max_size=3), VALUES)
def test_a_foreign_record_is_refused_or_names_files_of_its_own_folder(changes: dict[str, Any], other: Any) -> None:
    outputs = Outputs(Folder("/out"), FOLDERS_STEM, FOLDERS_SUFFIX)
    for content in (record_with(**changes), json.dumps(other).encode(), json.dumps({"case": other}).encode()):
        try:
            files = outputs.files(read_finished(content, "a.json").case)
        except InputError as error:
            assert str(error).startswith("a.json: ")
        else:
            assert all(name.startswith("a") and "/" not in name for name in files)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (record_with()[:30], "is not a record"),
        (b"\xff", "is not a record"),
        (b"[" * 100_000, "is not a record"),
        (record_with(name="b"), "is the record of b"),
        (record_with(name="../a"), "name '../a'"),
        (record_with(guidance=[]), "0 guidance scales"),
        (record_with(seeds=list(range(1001))), "1001 seeds"),
        (record_with(seeds=[True]), "no list of numbers"),
        (record_with(guidance=[float("nan")]), "--guidance nan"),
        (record_with(box="0,0,9,9"), "one of mask and box"),
        (record_with(mask="", box="9,9,0,0"), "--box 9,9,0,0"),
        (record_with(table="/etc/cases.csv", source=None), "or a path"),
    ],
)
def test_a_record_that_is_none_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(InputError, match=f"^a.json: .*{why}"):
        read_finished(content, "a.json")
