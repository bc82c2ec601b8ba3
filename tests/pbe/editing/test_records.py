"""Records of finished cases: what was made with another part of the source in view is told apart."""

from pathlib import Path
from typing import Any

import pytest

from pbe.editing.case import Case
from pbe.editing.config import EditConfig
from pbe.editing.outputs import FOLDERS_STEM, FOLDERS_SUFFIX, Outputs
from pbe.editing.records import refuse_changes, settings_of_flags, write_record
from pipeline.errors import InputError
from pipeline.storage.folder import Folder


def test_cases_made_with_another_context_or_before_there_was_one_are_made_again(tmp_path: Path) -> None:
    outputs = Outputs(Folder(str(tmp_path)), FOLDERS_STEM, FOLDERS_SUFFIX)
    case = Case("a", "s.png", "e.png", box="0,0,9,9")
    outputs.write_file("a.png", b"")

    def remaining(**flags: Any) -> list[Case]:
        return refuse_changes(outputs, [case], EditConfig(str(tmp_path), "m", cases="c.csv", **flags))

    settings = settings_of_flags(EditConfig("o", "m"))
    write_record(outputs, case, settings, {}, model_note={})
    assert remaining() == []
    with pytest.raises(InputError, match=r"made otherwise: a \(context auto -> whole\)"):
        remaining(context="whole")
    assert remaining(context="whole", overwrite=True) == [case]
    write_record(outputs, case, {name: settings[name] for name in settings if name != "context"}, {}, model_note={})
    with pytest.raises(InputError, match=r"a \(context of before -> auto\)"):
        remaining()


def test_cases_made_as_diffusers_does_are_finished_whatever_the_context(tmp_path: Path) -> None:
    outputs = Outputs(Folder(str(tmp_path)), FOLDERS_STEM, FOLDERS_SUFFIX)
    case = Case("a", "s.png", "e.png", box="0,0,9,9")
    outputs.write_file("a.png", b"")
    before = {"steps": 50, "scheduler": "pndm", "compat": True, "batch": 8, "blend": "crop"}
    write_record(outputs, case, before, {}, model_note={})
    for context in ("auto", "whole"):
        config = EditConfig(str(tmp_path), "m", cases="c.csv", compat=True, context=context)  # type: ignore[arg-type]
        assert refuse_changes(outputs, [case], config) == []
