"""Names of models: words, paths and hub ids are distinguished without asking the hub."""

from pathlib import Path

import pytest

from pipeline.encoders.names import is_path, locate, refuse_missing
from pipeline.errors import InputError


@pytest.mark.parametrize(
    "name", ["/m", "./m", "../m", "~/m", "m", "a/b/c", "owner/name.ckpt", "owner/x.safetensors", "here/m", "here/m:vae"]
)
def test_what_is_plainly_a_path_is_never_looked_up_on_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_path(name)
    with pytest.raises(InputError, match=r"^--model .*: no such folder or file; give another$"):
        refuse_missing(f"--model {name}", name, "give another")


@pytest.mark.parametrize("name", ["owner/name", "owner/name-1.5", "owner/name:vae", "owner/name:a/b", "a.b/c_d"])
def test_a_hub_id_is_not_a_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_path(name)
    refuse_missing(name, name, "")
    repository, _, subfolder = name.partition(":")
    assert locate("--vae", name, "vae") == (repository, subfolder)


def test_a_folder_in_the_form_of_an_id_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name" / "vae").mkdir(parents=True)
    (tmp_path / "owner" / "name" / "vae" / "config.json").write_text("{}")
    assert locate("--vae", "owner/name", "vae") == ("owner/name", "vae")
