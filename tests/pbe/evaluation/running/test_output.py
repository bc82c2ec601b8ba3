"""An output is an evaluation's own, or is refused before anything is written there."""

import re
from pathlib import Path

import pytest

from pbe.evaluation.running.output import refuse_foreign
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from tests.pipeline.storage.odd_names import ALL_OF_IT


def refuse(out: Path | str, said: str) -> None:
    with pytest.raises(InputError, match=f"--out {re.escape(str(out))}: .*{re.escape(said)}"):
        refuse_foreign(Folder(str(out)))


@pytest.mark.parametrize("names", [["manifest.json"], ["cat.png", "cat.json"], ["pictures/a.png"], ["evaluation"]])
def test_a_folder_of_other_things_is_refused_by_their_names(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        Folder(str(tmp_path)).write(name, b"")
    refuse(tmp_path, names[0].partition("/")[0])


def test_a_file_is_refused_as_output_and_as_part_of_its_path(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    refuse(file, "is a file; give another place")
    refuse(file / "run", f"{file} is a file; give another place")
    refuse(tmp_path / ("x" * 300), "File name too long")


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_what_is_new_empty_begun_or_of_an_evaluation_is_taken(tmp_path: Path, scheme: str) -> None:
    out = Folder(f"{scheme}{tmp_path}/{ALL_OF_IT}")
    refuse_foreign(out)
    for name in ("run/lock", "bench/cases.csv", ".DS_Store"):
        out.write(name, b"")
        refuse_foreign(out)
    out.write("notes.txt", b"")
    with pytest.raises(InputError, match=r"holds no evaluation, but notes\.txt"):
        refuse_foreign(out)
    out.write("evaluation.json", b"{}")
    refuse_foreign(out)
