"""LaMa, paste, harmonise, with networks of a few operations in their places."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbe.evaluation.copying.harmonising import harmonise_reinhard
from pbe.evaluation.copying.pasting import paste_object
from pbe.evaluation.copying.segmenting import segment_exemplar
from pbe.evaluation.methods.attempts import edit_cases
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import CaseError, MethodOptions, facts_of
from tests.pbe.evaluation.methods.opened_cases import opened_case
from tests.pbe.evaluation.methods.scripts import Broken, Darken, Fill, write_script

OUTLINE = np.zeros((30, 20), bool)
OUTLINE[8:22, 5:15] = True
CASE = opened_case(height=40, width=40, exemplar_mask=OUTLINE)  # square, as the crop that is composed
COLOUR = (255, 102, 0)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for name, module in (("lama", Fill((1.0, 0.4, 0.0))), ("dccf", Darken()), ("broken", Broken())):
        write_script(module, folder / f"{name}.pt")
    return folder


@pytest.fixture(autouse=True)
def without_rembg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network of rembg is found, also where it is installed."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))


def opened(*files: Path) -> Any:
    [method] = open_methods([f"lama-paste-harmonize={','.join(map(str, files))}"], MethodOptions())
    return method


def filled(case: Any) -> Any:
    return np.where(case.mask[..., None], np.uint8(COLOUR), case.source)


def test_the_hole_is_filled_the_object_pasted_and_its_colours_fitted(scripts: Path) -> None:
    [attempt] = edit_cases(opened(scripts / "lama.pt"), [CASE])
    pasted, where = paste_object(filled(CASE), CASE.mask, CASE.exemplar, OUTLINE)
    assert isinstance(attempt, dict) and np.array_equal(attempt[""], harmonise_reinhard(pasted, where))
    assert np.array_equal(attempt[""][~CASE.mask], CASE.source[~CASE.mask])
    assert (attempt[""][CASE.mask & ~where] == COLOUR).all() and (CASE.mask & ~where).any()


def test_dccf_changes_what_was_pasted_alone(scripts: Path) -> None:
    [attempt] = edit_cases(opened(scripts / "lama.pt", scripts / "dccf.pt"), [CASE])
    pasted, where = paste_object(filled(CASE), CASE.mask, CASE.exemplar, OUTLINE)
    assert isinstance(attempt, dict) and np.array_equal(attempt[""][~where], pasted[~where])
    assert np.abs(attempt[""][where] - pasted[where] / 2).max() <= 0.51


def test_an_exemplar_without_a_mask_is_cut_out_by_grabcut(scripts: Path) -> None:
    case = replace(CASE, exemplar_mask=None)
    given = replace(CASE, name="b", exemplar_mask=segment_exemplar(CASE.exemplar))
    one, other = edit_cases(opened(scripts / "lama.pt"), [case, given])
    assert isinstance(one, dict) and isinstance(other, dict) and np.array_equal(one[""], other[""])


def test_large_sources_are_changed_in_the_hole_alone(scripts: Path) -> None:
    mask = np.zeros((600, 1100), bool)
    mask[500:600, 900:1003] = True
    case = opened_case(height=600, width=1100, mask=mask)
    [attempt] = edit_cases(opened(scripts / "lama.pt"), [case])
    assert isinstance(attempt, dict) and np.array_equal(attempt[""][~mask], case.source[~mask])
    assert (attempt[""][mask] != case.source[mask]).any(axis=1).mean() > 0.9


def test_what_stands_in_for_rembg_and_dccf_is_said(scripts: Path) -> None:
    alone, both = facts_of(opened(scripts / "lama.pt")), facts_of(opened(scripts / "lama.pt", scripts / "dccf.pt"))
    cut = "objects cut out by their masks where given, else by GrabCut, not rembg"
    scripted = "a script of a few operations, not a trained network"
    assert alone.notes == (cut, "harmonised by Reinhard colour transfer, not DCCF", f"LaMa: {scripted}")
    assert both.notes == (cut, "harmonised by DCCF", f"LaMa, DCCF: {scripted}")
    assert alone.settings and alone.settings != both.settings


def test_a_case_on_which_a_network_fails_fails_alone(scripts: Path) -> None:
    for files, said in {("broken", "dccf"): "^LaMa gives", ("lama", "broken"): "^DCCF gives"}.items():
        [failed] = edit_cases(opened(*(scripts / f"{name}.pt" for name in files)), [CASE])
        with pytest.raises(CaseError, match=f"{said} numbers that are not finite"):
            raise failed  # type: ignore[misc]


def test_lost_networks_make_it_unavailable(scripts: Path, tmp_path: Path) -> None:
    assert opened(scripts / "lama.pt").available() == ""
    assert "LaMa" in opened(tmp_path / "lost.pt").available()
    assert "DCCF" in opened(scripts / "lama.pt", tmp_path / "lost.pt").available()
    assert facts_of(opened(tmp_path / "lost.pt")).settings == {}
