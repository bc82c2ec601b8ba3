"""Names of models: words, paths and hub ids are distinguished without asking the hub."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoders import names
from pipeline.encoders.names import (
    SHIPPED,
    UNTRAINED,
    absolute_name,
    is_path,
    locate,
    placed,
    recorded_name,
    recorded_word,
    refuse_missing,
)
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


WORDS = {UNTRAINED: "AutoencoderKL", SHIPPED: "codec"}


def test_the_word_shipped_stands_for_the_models_folder_of_this_package_whatever_lies_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Path(placed(SHIPPED)) == Path(__file__).parents[3] / "pbe" / "small_model"
    for part in ("package/unet", "package/vae", "here/shipped/vae"):
        (tmp_path / part).mkdir(parents=True)
        (tmp_path / part / "config.json").write_text("{}")
    monkeypatch.setattr(names, "SHIPPED_FOLDER", tmp_path / "package")
    monkeypatch.chdir(tmp_path / "here")
    assert locate("--vae", SHIPPED, "vae") == (str(tmp_path / "package"), "vae")
    assert locate("--vae", "./shipped", "vae") == ("shipped", "vae")
    assert [absolute_name(name) for name in (SHIPPED, "./shipped", "owner/name", "")] == [
        SHIPPED,
        str(tmp_path / "here/shipped"),
        "owner/name",
        "",
    ]


def test_an_installation_without_the_shipped_model_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "SHIPPED_FOLDER", tmp_path)
    with pytest.raises(InputError, match=rf"^--model shipped: {tmp_path} is missing; install pbe-pretrain again"):
        refuse_missing("--model shipped", SHIPPED, "")


@given(
    st.lists(st.sampled_from(["untried", "untrained", "untrained-vae", "shipped", "a b", "vae"]), min_size=1).map(
        "/".join
    )
)
def test_a_dataset_records_words_so_that_they_are_found_again_and_of_paths_only_the_name(path: str) -> None:
    assert [recorded_word(recorded_name(word, WORDS)) for word in WORDS] == list(WORDS)
    assert recorded_name(f"/{path}/", WORDS) == path.rsplit("/", 1)[-1] and not recorded_word(path.rsplit("/", 1)[-1])
