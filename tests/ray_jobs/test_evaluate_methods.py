"""The evaluation job on Ray: the same bytes as in one process, a stranger's method among its own."""

from pathlib import Path

import pytest

from pbe.evaluate import main
from tests.pbe.evaluation.running.small_bench import write_bench, write_stranger
from tests.ray_jobs.conftest import Run


def kept(out: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if not name.startswith("run/")}


def test_an_evaluation_on_ray_has_the_bytes_of_one_here_and_goes_on(
    drive: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_bench(tmp_path / "bench")
    write_stranger(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    flags = ("stranger:Grey", "stranger:Odd", "copy-paste", "--bench", str(table), "--batch", "2", "--device", "cpu")
    assert main([*flags, "--out", str(tmp_path / "here")]) == 0
    done = drive("evaluate_methods.py", *flags, "--out", tmp_path / "there")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ray: joined " in done.stdout
    assert kept(tmp_path / "there") == kept(tmp_path / "here")
    again = drive("evaluate_methods.py", *flags, "--out", tmp_path / "there")
    assert "9 parts: 9 were finished, 0 made" in again.stdout and "Ray" not in again.stdout
