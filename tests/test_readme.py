import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.jobs.preparation import Prepared

README = Path(__file__).parent.parent / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_every_snippet_runs_on_a_dataset(
    make: Callable[..., Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "runs/demo/dataset")
    monkeypatch.chdir(tmp_path)
    printed = []
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), {})
        printed.append(capsys.readouterr().out)
    samples, index, members, batches = printed
    assert len(samples.splitlines()) == 12
    assert "(4, 8, 8) (4, 8, 8) (64,)" in samples
    assert index.startswith("14 [{'key': ")
    assert "torch.Size([4, 1, 8, 8])" in batches
    assert ".safetensors" in members and ".exemplar.jpg" in members


def test_the_tree_names_every_module() -> None:
    text = README.read_text()
    root = README.parent
    for folder in ("schemas", "pipeline", "pbe", "ray_jobs"):
        for module in (root / folder).glob("*.py"):
            assert module.name == "__init__.py" or module.name in text, f"{folder}/{module.name}"
