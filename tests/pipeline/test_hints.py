"""The commands that others' last lines name, as a shell reads them."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.hints import command_line, look_line, verify_command
from pipeline.storage.urls import absolute

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


def look(line: str) -> tuple[str, str]:
    """What a shell reads of a line: the folder to look at, and the page to write."""
    said, _, command = line.partition(": ")
    assert said == "look at it"
    python, flag, module, folder, sheet, page = shlex.split(command)
    assert (python, flag, module, sheet) == ("python", "-m", "dashboards.browse", "--sheet")
    return folder, page


@given(st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3), st.booleans())
def test_a_shell_reads_the_folder_that_was_made_and_a_page_beside_it(names: list[str], here: bool) -> None:
    out = str((Path.cwd() if here else Path("/data")).joinpath(*names))
    folder, page = look(look_line(out))
    assert absolute(folder) == out and page == f"{folder}.html"
    assert not folder.startswith("-")


def test_the_line_is_short_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert look_line(str(tmp_path / "runs/a b")) == (
        "look at it: python -m dashboards.browse 'runs/a b' --sheet 'runs/a b.html'"
    )
    assert look(look_line(str(Path.cwd()))) == (str(tmp_path), f"{tmp_path}.html")


def test_of_a_url_the_page_lies_here_and_credentials_are_blanked() -> None:
    assert look(look_line("s3://bucket/some/pbe")) == ("s3://bucket/some/pbe", "pbe.html")
    assert "hidden" not in look_line("memory://user:hidden@bucket/pbe")


@given(st.lists(NAMES.filter(lambda name: not name.startswith("-")), max_size=3), NAMES, st.integers())
def test_a_shell_reads_the_words_and_flags_of_a_command_as_they_were_given(
    words: list[str], name: str, number: int
) -> None:
    read = shlex.split(command_line(*words, batch_size=number, out=name))
    assert read[: len(words)] == words
    assert [word for flag in read[len(words) :] for word in flag.split("=", 1)] == [
        "--batch-size", str(number), "--out", *name.split("=", 1)
    ]  # fmt: skip


def test_a_value_that_begins_with_a_dash_stays_with_its_flag() -> None:
    assert command_line("train", out="-o") == "train --out=-o"
    assert shlex.split(verify_command("/data/a b"))[-1] == "/data/a b"
