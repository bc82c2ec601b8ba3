"""Folders of edits: what is in them, what is gone, and how pictures are put together."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dashboards.edits import Checkpoint, Edit, Edits, grouped, read_edits, read_inputs
from pbe.edit import main
from pipeline.errors import InputError
from tests.pbe.editing.tiny_model import random_picture, write_model, write_pictures

CASES = """source,mask,box,exemplar,name,guidance,seed
source.png,mask.png,,exemplar.png,cat,"5,1",4
source.png,,"16,10,36,24",exemplar.png,dog,"5,1",8
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases edited by two checkpoints, and one edit without a table."""
    place = tmp_path_factory.mktemp("edits")
    given = write_pictures(place / "in")
    (place / "in" / "cases.csv").write_text(CASES)
    fast = ["--steps", "1", "--scheduler", "ddim", "--n", "2"]
    for step in (7, 30):
        write_model(place / f"model{step}", seed=step, step=step)
        model = ["--model", str(place / f"model{step}")]
        assert main([*model, "--cases", str(place / "in/cases.csv"), "--out", str(place / f"step{step}"), *fast]) == 0
    flags = [part for name, path in given.items() for part in (f"--{name}", str(path))]
    assert main([*model, *flags, "--out", str(place / "single"), "--guidance", "2.5,1", *fast]) == 0
    return place


@pytest.fixture
def copied(place: Path, tmp_path: Path) -> Path:
    """A folder of edits to change, beside its inputs."""
    for name in ("in", "step7"):
        shutil.copytree(place / name, tmp_path / name)
    return tmp_path


def only(edits: Edits, name: str) -> Edit:
    [edit] = [edit for edit in edits.edits if edit.name == name]
    return edit


def test_a_case_comes_with_its_pictures_figure_settings_and_inputs(place: Path) -> None:
    edits = read_edits(str(place / "step7"))
    assert [edit.name for edit in edits.edits] == ["cat", "dog"] and edits.notes == ()
    cat, dog = edits.edits
    assert [(picture.guidance, picture.seed) for picture in cat.pictures] == [(5, 4), (5, 5), (1, 4), (1, 5)]
    assert all(cat.folder.read(name) for name in (*(picture.name for picture in cat.pictures), cat.figure))
    assert cat.record and cat.record.settings["steps"] == 1 and str(cat.checkpoint) == "step 7 (raw)"
    for edit in (cat, dog):
        inputs = read_inputs(edit)
        assert inputs.absent == {} and inputs.source is not None and inputs.mask is not None
        assert np.array_equal(inputs.source, random_picture(40, 56)) and inputs.mask[10:24, 16:36].all()
        assert inputs.mask.sum() == 14 * 20
        assert inputs.exemplar is not None and np.array_equal(inputs.exemplar, random_picture(30, 20, seed=1))


def test_pictures_of_several_folders_go_together_by_guidance_seed_and_checkpoint(place: Path) -> None:
    edits = [edit for step in (30, 7) for edit in read_edits(str(place / f"step{step}")).edits]
    edits += read_edits(str(place / "single")).edits
    assert {scale: len(found) for scale, found in grouped(edits, "guidance").items()} == {1: 10, 2.5: 2, 5: 8}
    assert list(grouped(edits, "seed")) == [0, 1, 4, 5, 8, 9]
    by_checkpoint = grouped(edits, "checkpoint")
    assert [str(checkpoint) for checkpoint in by_checkpoint] == ["step 7 (raw)", "step 30 (raw)", "weights not known"]
    assert [len(found) for found in by_checkpoint.values()] == [8, 8, 4]
    assert sum(map(len, by_checkpoint.values())) == sum(len(edit.pictures) for edit in edits)


def test_edits_without_a_table_are_known_by_their_names_alone(place: Path, tmp_path: Path) -> None:
    [edit] = read_edits(str(place / "single")).edits
    assert [(picture.guidance, picture.seed) for picture in edit.pictures] == [(1, 0), (1, 1), (2.5, 0), (2.5, 1)]
    assert (edit.name, edit.figure, edit.record, edit.checkpoint) == ("edited", "pictures.png", None, Checkpoint())
    assert read_inputs(edit).absent.keys() == {"source", "mask", "exemplar"}
    Image.fromarray(random_picture(8, 8)).save(tmp_path / "edited.png")
    [alone] = read_edits(str(tmp_path)).edits
    assert [(picture.name, picture.guidance, picture.seed) for picture in alone.pictures] == [
        ("edited.png", None, None)
    ]
    assert list(grouped([edit, alone], "seed")) == [0, 1, None]


def test_inputs_that_moved_with_their_folder_are_found_and_others_by_their_table(copied: Path) -> None:
    cat = only(read_edits(str(copied / "step7")), "cat")
    assert read_inputs(cat).absent == {}
    (copied / "in").rename(copied / "elsewhere")
    lost = read_inputs(cat)
    assert lost.source is lost.mask is lost.exemplar is None
    assert "in/source.png: cannot be read (no such file)" in lost.absent["source"]
    assert lost.absent["mask"] == "belongs to a source that is not there"
    assert read_inputs(cat, table=str(copied / "elsewhere" / "cases.csv")).absent == {}


def test_an_input_that_changed_is_not_shown_as_what_was_edited(copied: Path) -> None:
    Image.fromarray(random_picture(30, 20, seed=9)).save(copied / "in" / "exemplar.png")
    inputs = read_inputs(only(read_edits(str(copied / "step7")), "cat"))
    assert inputs.exemplar is None and "is not the file that was edited" in inputs.absent["exemplar"]
    assert inputs.source is not None and inputs.mask is not None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "/etc/hostname"}, "is not the file that was edited|cannot be read"),
        ({"source": "s3://bucket/source.png"}, "is not local"),
        ({"source": "nowhere://x"}, "nowhere"),
    ],
)
def test_what_a_foreign_record_names_is_opened_only_where_its_digest_proves_that_it_was_edited(
    copied: Path, changes: dict[str, str], reason: str
) -> None:
    path = copied / "step7" / "cat.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "case": {**record["case"], **changes}}))
    inputs = read_inputs(only(read_edits(str(copied / "step7")), "cat"))
    assert inputs.source is None and inputs.exemplar is not None
    assert re.search(reason, inputs.absent["source"])


def test_a_table_that_is_not_recorded_is_asked_for(copied: Path) -> None:
    path = copied / "step7" / "cat.json"
    record = json.loads(path.read_text())
    del record["lineage"]
    path.write_text(json.dumps(record))
    cat = only(read_edits(str(copied / "step7")), "cat")
    assert str(cat.checkpoint) == f"weights {record['settings']['weights'][:8]}"
    assert "relative to a table that the record does not name" in read_inputs(cat).absent["source"]
    assert read_inputs(cat, table=str(copied / "in" / "cases.csv")).absent == {}


def test_pictures_that_are_gone_and_records_that_are_none_are_noted(copied: Path) -> None:
    (copied / "step7" / "cat-g5-s4.png").unlink()
    (copied / "step7" / "dog.json").write_text("{")
    edits = read_edits(str(copied / "step7"))
    assert [edit.name for edit in edits.edits] == ["cat", "dog"]
    assert [picture.name for picture in only(edits, "cat").pictures] == [
        f"cat-{part}.png" for part in ("g5-s5", "g1-s4", "g1-s5")
    ]
    assert only(edits, "dog").record is None and len(only(edits, "dog").pictures) == 4
    assert any("cat-g5-s4.png: is gone" in note for note in edits.notes)
    assert any(note.startswith("dog.json: is not a record") for note in edits.notes)


def test_a_folder_without_edits_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    Image.fromarray(random_picture(8, 8)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"holds no edits; config.json: is not a record .* --out"):
        read_edits(str(tmp_path))
    with pytest.raises(InputError, match="nowhere: holds no edits; give a folder"):
        read_edits(str(tmp_path / "nowhere"))
