"""The wheel: the tree -> a package that works where the checkout is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "pipeline", "pbe", "ray_jobs", "dashboards")
MODEL = ROOT / "pbe" / "small_model"  # with its card and licence
NOT_SHIPPED = (".md", ".jpg", ".pyc")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, apart from this checkout's environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RAY_"))}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_has_every_room_and_shards_verifies_trains_and_edits_from_another_folder(tmp_path: Path) -> None:
    tree = tmp_path / "tree"  # a copy, since a build leaves a folder behind, and would ship what an earlier one left
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, tree)
    run(*build, cwd=tmp_path)
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.split("/")[0] in PACKAGES}
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    expected = {path for path in files if path.suffix not in NOT_SHIPPED or path.is_relative_to(MODEL)}
    assert shipped == {str(path.relative_to(ROOT)) for path in expected}
    run(sys.executable, "-c", "import setuptools.build_meta as b, sys; b.build_sdist(sys.argv[1])", tmp_path, cwd=tree)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert {str(path.relative_to(ROOT)) for path in expected if path.is_relative_to(MODEL)} <= sources

    # An empty environment: the wheel is installed, what it depends on is lent by a line in a .pth file, which leaves
    # this checkout's own editable install out.
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel, cwd=tmp_path)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    place = run(python, "-c", "import pipeline; print(pipeline.__file__)", cwd=tmp_path)
    assert place.startswith(str(site))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    flags = ("--resolution", "64", "--draws", "1", "--encoders", "1")
    run(python, "-m", "ray_jobs.shard_openimages", "tiny", "--out", "data", *flags, cwd=elsewhere)
    assert "ok: " in run(python, "-m", "ray_jobs.verify_shards", "data", cwd=elsewhere)
    run(python, "-m", "dashboards.browse", "data", "--sheet", "data.html", cwd=elsewhere)
    assert (elsewhere / "data.html").read_bytes().count(b"<article ") > 5
    train = ("tiny", "--data", "data", "--out", "train", "--steps", "2")
    run(python, "-m", "pbe.train", *train, cwd=elsewhere)
    photos = sorted((elsewhere / "data/run/sample_photos/train").glob("*.jpg"))
    inputs = ("--source", photos[0], "--box", "100,60,300,260", "--exemplar", photos[1], "--out", "edited.png")
    for model in (("--model", "train"), ()):  # the second edits with the model in the wheel
        run(python, "-m", "pbe.edit", *model, *inputs, "--steps", "2", cwd=elsewhere)
        assert (elsewhere / "edited.png").stat().st_size > 1000
