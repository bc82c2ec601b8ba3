"""The README's method, saved outside of the package, takes part as it is written there."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import pbe.evaluation.methods
from pbe.evaluation.methods.attempts import edit_cases, why_not
from pbe.evaluation.methods.naming import KNOWN, open_methods
from pbe.evaluation.methods.protocol import MethodOptions, facts_of
from tests.pbe.evaluation.methods.opened_cases import opened_case

PAGE = (Path(pbe.evaluation.methods.__file__).parent / "README.md").read_text()
[CODE] = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != ""])
    monkeypatch.delitem(sys.modules, "mine", raising=False)


def test_the_method_of_the_page_is_short_and_edits() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 20
    [method] = open_methods(["mine:Method"], MethodOptions())
    assert method.name == "telea" and why_not(method) == ""
    assert facts_of(method).notes == ("Telea's inpainting; sees no exemplar",)
    cases = [opened_case(name) for name in "ab"]
    for case, attempt in zip(cases, edit_cases(method, cases), strict=True):
        assert isinstance(attempt, dict)
        assert (attempt[""][case.mask] != case.source[case.mask]).any()
        assert np.array_equal(attempt[""][~case.mask], case.source[~case.mask])


def test_its_argument_decides_what_it_does_and_whether_it_can() -> None:
    unable, wide = open_methods(["mine:Method=0", "mine:Method=9"], MethodOptions())
    assert (unable.name, wide.name) == ("telea=0", "telea=9")
    assert why_not(unable).startswith("its radius is 0.0") and not why_not(wide)
    assert facts_of(wide).settings == {"radius": 9.0}


def test_the_page_names_every_method() -> None:
    for name in KNOWN:
        assert re.search(rf"`{re.escape(name)}[`=]", PAGE), name
