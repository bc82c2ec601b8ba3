"""Pages: every README.md, CONTRIBUTING.md, CHANGELOG.md and the tutorial -> whether what they say of the code holds."""

import importlib
import json
import pkgutil
import re
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.jobs.preparation import PreparedJob
from schemas.validation import VALIDATION, validation_path
from tests.pbe.editing.tiny_model import write_model

ROOT = Path(__file__).parent.parent
CODE = ("schemas", "pipeline", "pbe", "ray_jobs", "dashboards")
FRONT = ROOT / "README.md"
READMES = [
    FRONT,
    *sorted(page for folder in (*CODE, "examples", "tests") for page in (ROOT / folder).rglob("README.md")),
]
TUTORIAL = ROOT / "examples" / "quickstart.ipynb"
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", TUTORIAL]
ROOMS = sorted(init.parent for folder in CODE for init in (ROOT / folder).rglob("__init__.py"))

EVERY_ROOM = pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

# How a page writes each command -> how it is run.
VERBS = {
    "ray_jobs/shard_openimages.py": runpy.run_path,
    "ray_jobs/verify_shards.py": runpy.run_path,
    "ray_jobs/evaluate_methods.py": runpy.run_path,
    "pbe/train.py": runpy.run_path,
    "pbe.edit": runpy.run_module,
    "pbe.convert": runpy.run_module,
    "pbe.evaluate": runpy.run_module,
    "pbe.leaks": runpy.run_module,
    "pbe.app": runpy.run_module,
    "pipeline.pairs": runpy.run_module,
    "pipeline.fit_encoders": runpy.run_module,
    "dashboards/browse.py": runpy.run_path,
}
WORDS = {"pbe.evaluate": ("ablation", "mixture")}  # with which a command does something else, by flags of its own
FLAG = r"(?<!\S)--[a-z][a-z-]*"
FOREIGN_FLAGS = {"--working-dir"}  # Ray's


@pytest.mark.heavy
def test_every_snippet_runs_on_a_dataset_and_a_model(
    make: Callable[..., PreparedJob],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / "runs/demo/dataset")
    write_model(tmp_path / "runs/demo/train/model")
    table = tmp_path / "runs/demo/train" / validation_path(30)
    table.parent.mkdir()
    pq.write_table(
        pa.Table.from_pylist([{"key": "a-0-0", "loss": 1.0}, {"key": "b-0-0", "loss": 2.0}], VALIDATION), table
    )
    for name, value in (("photo.jpg", 90), ("dog.jpg", 200)):
        Image.fromarray(np.full((48, 64, 3), value, np.uint8)).save(tmp_path / name)
    mask = np.zeros((48, 64), np.uint8)
    mask[12:28, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)

    printed: dict[str, list[str]] = {}
    values: dict[str, dict[str, Any]] = {}
    for page in READMES:
        for snippet in _blocks(page, "python"):
            name = str(page.relative_to(ROOT))
            values[name] = {}
            exec(compile(snippet, name, "exec"), values[name])
            printed.setdefault(name, []).append(capsys.readouterr().out)

    samples, index, members, batches = printed["schemas/README.md"]
    assert len(samples.splitlines()) == 12
    assert "(4, 8, 8) (4, 8, 8) (64,)" in samples
    assert index.startswith("14 [{'key': ")
    assert "torch.Size([4, 1, 8, 8])" in batches
    assert ".safetensors" in members and ".exemplar.jpg" in members
    [shown] = printed["README.md"]
    assert shown.startswith("[{'key': ") and shown.count("'mask_shape': ") == 3
    assert "{'stage': 'filter', 'reason': 'area', 'count_all': 4}" in shown
    assert printed["pbe/training/README.md"][0].startswith("[{'key': 'b-0-0', ")  # the worst first
    pictures = values["pbe/editing/README.md"]["pictures"]
    assert [(picture.dtype, picture.shape) for picture in pictures] == [(np.uint8, (48, 64, 3))] * 4
    assert any((picture[mask > 0] != 90).any() for picture in pictures)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # a verb is run where it was imported, too
def test_every_command_has_the_flags_it_is_shown_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {}
    sigterm = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("COLUMNS", "500")  # no flag is broken over two lines
    monkeypatch.chdir(ROOT)
    for verb, run in VERBS.items():
        for words in ([], *([word] for word in WORDS.get(verb, ()))):
            monkeypatch.setattr(sys, "argv", [verb, *words, "--help"])
            with pytest.raises(SystemExit):
                run(verb, run_name="__main__")
        flags[verb] = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    signal.signal(signal.SIGTERM, sigterm)

    every = FOREIGN_FLAGS.union(*flags.values())
    shown = set()
    for page in PAGES:
        for command in _commands(page):
            for verb in VERBS:
                _, named, rest = command.partition(f" {verb} ")
                own, _, of_trainings = rest.partition(" -- ")
                unknown = set(re.findall(FLAG, own)) - flags[verb]
                unknown |= set(re.findall(FLAG, of_trainings)) - flags["pbe/train.py"]
                assert not unknown, f"{page}: {command}: {verb} has no {unknown}"
                shown |= {verb} if named else set()
        prose = re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL)
        if page.parent.name != "benchmarks":  # whose flags are those of the scripts there
            unknown = set(re.findall(r"(?<=`)--[a-z][a-z-]*", prose)) - every
            assert not unknown, f"{page}: no command has {unknown}"
    assert shown == set(VERBS)


@EVERY_PAGE
def test_every_file_folder_and_make_target_that_a_page_names_exists(page: Path) -> None:
    text = _text(page)
    files = re.findall(r"(?<![\w./:$-])(?:[\w-]+/)+[\w-]+\.(?:py|sh)\b", text)
    folders = re.findall(rf"(?<![\w./:-])(?:{'|'.join((*CODE, 'tests'))})/[\w/.-]*[\w/]", text)
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"(?:`|^)make ([\w-]+)", text, re.M)) <= set(targets)
    for name in {*files, *folders}:
        assert (ROOT / name).exists() or (page.parent / name).exists(), f"{page}: {name}"


@EVERY_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", _text(page)):
        if link.startswith("https://"):
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{page}: {link}"
        headings = [_anchor(title) for title in re.findall(r"^#+ (.+)$", _text(target) if heading else "", re.M)]
        assert not heading or heading in headings, f"{page}: {link}"


@EVERY_PAGE
def test_every_module_and_function_that_a_page_names_exists(page: Path) -> None:
    names = re.findall(rf"(?<![\w./-])(?:{'|'.join((*CODE, 'tests'))})(?:\.\w+)+", _text(page))
    for name in {name for name in names if not name.endswith((".json", ".ckpt"))}:
        pkgutil.resolve_name(name)
    for name, file in re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", _text(page)):
        assert re.search(rf"\b{name}\b", (ROOT / file).read_text()), f"{page}: {file} has no {name}"


def test_the_tree_names_every_room_and_no_other() -> None:
    """Rooms inside a room are listed there."""
    [tree] = [block for block in _blocks(FRONT, "") if block.startswith("schemas/")]
    named, top = set(), ""
    for indent, name in re.findall(r"^( *)([\w/]+)/ ", tree, re.M):
        top = top if indent else name
        named.add(f"{top}/{name}" if indent else name)
    rooms = [room.relative_to(ROOT) for room in ROOMS]
    assert named == {str(room) for room in rooms if len(room.parts) <= len(("pbe", "feed"))} | {"tests"}


def test_the_front_page_is_short() -> None:
    assert len(FRONT.read_text().split()) <= 1800


@EVERY_ROOM
def test_the_docstring_of_a_room_lists_its_files_and_rooms_and_no_others(room: Path) -> None:
    docstring = importlib.import_module(".".join(room.relative_to(ROOT).parts)).__doc__ or ""
    listed = re.findall(r"^ {4}(\w+)/? +\S", docstring, re.M)
    files = [file.stem for file in room.glob("*.py") if file.name != "__init__.py"]
    assert sorted(listed) == sorted([*files, *(inner.parent.name for inner in room.glob("*/__init__.py"))])


def _text(page: Path) -> str:
    """The text of a page; of a notebook the cells' sources, those that a shell runs as a block."""
    if page.suffix != ".ipynb":
        return page.read_text()
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(page.read_text())["cells"]]
    shell = "%%bash -e\n"
    kept = [text for kind, text in cells if kind == "markdown" or text.startswith(shell)]
    return "\n\n".join(f"```\n{text.removeprefix(shell)}\n```" if text.startswith(shell) else text for text in kept)


def _blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [
        block for found, block in re.findall(r"^```(\w*)\n(.*?)^```", _text(page), re.M | re.S) if found == language
    ]


def _commands(page: Path) -> list[str]:
    """The shell commands of a page, each on one line, without comments."""
    lines = "\n".join(_blocks(page, "")).replace("\\\n", " ").splitlines()
    return [f" {line.split(' #')[0].strip()} " for line in lines if line.strip()]


def _anchor(title: str) -> str:
    """The anchor that a forge gives a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
