"""The command of a download: it runs where the download is unpacked, not where the page ran."""

import shlex
from pathlib import Path

import pytest

from pbe.editing.config import EditConfig
from pbe.painting.config import PaintingConfig
from pbe.painting.download import command_again


def test_the_command_of_a_download_runs_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("my model", "vae", "clip"):
        (tmp_path / "runs" / part).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    config = PaintingConfig(model="runs/my model", vae="runs/vae", clip="runs/clip").edits("edited.png")
    words = shlex.split(command_again(config))
    for part in ("my model", "vae", "clip"):
        assert f"{tmp_path}/runs/{part}" in words
    monkeypatch.setattr("sys.executable", f"{tmp_path}/.venv/bin/python")  # not on PATH
    assert shlex.split(command_again(config))[0] == f"{tmp_path}/.venv/bin/python"


@pytest.mark.parametrize("name", ["shipped", "Fantasy-Studio/Paint-by-Example"])
def test_words_and_hub_ids_stay_in_the_command_as_they_are(name: str) -> None:
    words = shlex.split(command_again(PaintingConfig(model=name).edits("edited.png")))
    assert (name in words) == (name != EditConfig.model) and not any(Path(word).is_absolute() for word in words[3:])
