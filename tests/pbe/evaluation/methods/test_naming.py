"""Each METHOD of the command line becomes a method with a name of its own, or is refused in words."""

import subprocess
import sys
from pathlib import Path

import pytest

from pbe.evaluation.methods.attempts import edit_cases, why_not
from pbe.evaluation.methods.naming import KNOWN, open_methods
from pbe.evaluation.methods.protocol import Method, MethodOptions, facts_of
from pipeline.errors import InputError
from schemas.scores import row_folder
from tests.pbe.evaluation.methods.opened_cases import opened_case

MINE = """
import numpy as np

class Method:
    notes = ["of mine"]

    def __init__(self, value="128"):
        self.value, self.name = np.uint8(value), "mine"

    def available(self):
        return ""

    def edit(self, cases):
        return [np.where(case.mask[..., None], self.value, case.source) for case in cases]
"""


def names_of(*specs: str) -> list[str]:
    return [method.name for method in open_methods(specs, MethodOptions())]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, holding a module `strange_mine`."""
    (tmp_path / "strange_mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != ""])
    monkeypatch.delitem(sys.modules, "strange_mine", raising=False)
    return tmp_path


def test_every_known_name_opens_and_one_without_weights_says_what_it_needs() -> None:
    specs = [name if known.form != "NAME:DIR" else f"{name}=other:nowhere" for name, known in KNOWN.items()]
    for method, known in zip(open_methods(specs, MethodOptions()), KNOWN.values(), strict=True):
        assert isinstance(method, Method) and facts_of(method).variants
        assert bool(why_not(method)) == bool(known.form)
        assert known.form in why_not(method) or known.form == "NAME:DIR"


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (["pbe=a", "identity"], ["pbe", "identity"]),
        (["pbe=runs/a", "pbe=runs/b"], ["pbe=a", "pbe=b"]),
        (["pbe=a/model", "pbe=b/model/", "pbe=c"], ["pbe=a/model", "pbe=b/model", "pbe=c"]),
        (["pbe=model", "pbe=b/model"], ["pbe=model", "pbe=b/model"]),
        (["pbe@ours=runs/a", "pbe=runs/b"], ["ours", "pbe"]),
        (["pbe@1=a", "pbe@2=a"], ["1", "2"]),
        (["pictures=theirs:x", "pictures=others:x"], ["theirs", "others"]),
        (["pictures=pbe:x", "pbe=y"], ["pbe=pbe:x", "pbe=y"]),
        (["identity", "identity@again"], ["identity", "again"]),
    ],
)
def test_methods_of_one_name_are_told_apart_by_labels_or_the_ends_of_their_paths(
    specs: list[str], names: list[str]
) -> None:
    assert names_of(*specs) == names
    assert len({row_folder(name).casefold() for name in names}) == len(names)


@pytest.mark.parametrize(
    "specs",
    [
        ["identity", "identity"],
        ["pbe=a", "pbe=a"],
        ["pbe=a", "pbe=./a/"],
        ["pbe@x=a", "naive@X=b"],
        ["pbe@a b=1", "pbe@a_b=2"],
        ["identity", "pbe@identity=a"],
    ],
)
def test_methods_that_would_share_a_name_or_a_folder_of_pictures_are_refused(specs: list[str]) -> None:
    with pytest.raises(InputError, match="would have one name in the table; label them, as in "):
        names_of(*specs)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no method is called nothing"),
        ("pbr=a", "did you mean pbe?"),
        ("sd-inpant", "no method is called sd-inpant"),
        (".", r"give pbe=\."),
        ("identity=a", "identity takes nothing; leave =a out"),
        ("pbe@=a", "the label after @ is empty"),
        ("pbe@//=a", "the label after @ is empty"),
        ("pictures=a", "give pictures=NAME:DIR"),
        ("pictures=:a", "give pictures=NAME:DIR"),
        ("pictures=s3://a/b", "give pictures=NAME:DIR"),
        ("no-module:a", "give module:object"),
        ("nowhere_at_all:Method", "no module nowhere_at_all here or installed"),
        ("json.nowhere:Method", r"no module json\.nowhere here"),
        ("json:Method", r"json \(.*\) has no Method"),
        ("json:dumps", r"calling it without =ARG raises TypeError: dumps\(\)"),
        ("json:dumps=1", "a str without name, available, edit is no method"),
        ("json:JSONEncoder.item_separator", "a str without name, available, edit"),
    ],
)
def test_what_names_no_method_is_refused_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        names_of(spec)
    assert "\n" not in str(raised.value)


def test_a_strangers_class_instance_or_function_takes_part(here: Path) -> None:
    more = "ready = Method(3)\nmake = lambda value: Method(value)\nclass Room:\n    Inner = Method"
    (here / "strange_mine.py").write_text(f"{MINE}\n{more}\n")
    specs = ["Method", "Method@dark=0", "ready@ready", "make=7", "Room.Inner@inner=5"]
    methods = open_methods([f"strange_mine:{spec}" for spec in specs[1:]] + ["strange_mine:Method"], MethodOptions())
    assert [method.name for method in methods] == ["dark", "ready", "mine=7", "inner", "mine"]
    case = opened_case()
    for method, value in zip(methods, (0, 3, 7, 5, 128), strict=True):
        [attempt] = edit_cases(method, [case])
        assert isinstance(attempt, dict) and (attempt[""][case.mask] == value).all()
        assert facts_of(method).notes == ("of mine",)


BROKEN = {
    "raise ValueError('no\\nluck')": r"importing strange_mine raises ValueError: no \(strange_mine.py:1\)",
    "import not_installed": "importing strange_mine raises ModuleNotFoundError: No module named 'not_installed'",
    "def Method(:": "raises SyntaxError",
    "import sys; sys.exit()": "raises SystemExit",
    "def Method(): return 1 / 0": r"calling it without =ARG raises ZeroDivisionError.* \(strange_mine.py:1\)",
    "class Method:\n    name = 'mine'": "a Method without available, edit is no method",
    MINE.replace('"mine"', "3"): "its name is 3; give a text",
    MINE.replace('"mine"', '" "'): "its name is ' '",
    MINE.replace('["of mine"]', "7"): "strange_mine:Method: mine: its notes are 7",
    f"{MINE}    edit = 3": "its edit cannot be called",
    f"{MINE}    settings = property(lambda self: 1 / 0)": "what it says of itself raises ZeroDivisionError",
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_strangers_mistake_is_named_with_module_and_object(code: str, here: Path) -> None:
    (here / "strange_mine.py").write_text(code)
    with pytest.raises(InputError, match=BROKEN[code]) as raised:
        names_of("strange_mine:Method")
    assert str(raised.value).startswith("strange_mine:Method") and "\n" not in str(raised.value)


def test_an_instance_takes_no_argument(here: Path) -> None:
    (here / "strange_mine.py").write_text(f"{MINE}\nready = Method()")
    with pytest.raises(InputError, match="it is a method already; leave =7 out"):
        names_of("strange_mine:ready=7")


@pytest.mark.processes
def test_opening_and_refusing_methods_imports_no_torch() -> None:
    specs = [
        f"{name}={'name:' if known.form == 'NAME:DIR' else ''}nowhere" for name, known in KNOWN.items() if known.form
    ]
    code = f"""
import sys
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import MethodOptions
methods = open_methods({specs}, MethodOptions())
assert all(method.available() for method in methods), [method.available() for method in methods]
assert not {{"torch", "diffusers", "transformers", "pipeline.encoders.libraries"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
