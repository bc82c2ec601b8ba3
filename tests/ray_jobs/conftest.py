"""Commands run as a user runs them: in processes of their own, on real Ray."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def quiet_environment() -> dict[str, str]:
    """The environment of a user at this checkout's Python, without a Ray to join."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    bin_folder = str(Path(sys.executable).parent)
    return {**environment, **loopback, "PATH": f"{bin_folder}:{environment['PATH']}"}


@pytest.fixture(scope="session")
def run(quiet_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a script of ray_jobs with arguments, from an empty folder."""
    folder = tmp_path_factory.mktemp("cwd")

    def run_script(script: str, *arguments: str | Path, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "ray_jobs" / script), *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=quiet_environment, capture_output=True, text=True, timeout=300)

    return run_script
