"""Install wheels: a folder of wheels -> a venv that sees this interpreter's packages, and has those it lacks.

    python install_wheels.py WHEELS VENV

Nothing is fetched. Packages that are there already are neither replaced nor held against what the wheels ask for.
"""

import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def missing_packages(wheels: Path) -> list[str]:
    """Name, as NAME==VERSION, the newest wheel of each package that is not installed."""
    names = {}
    for wheel in sorted(wheels.glob("*.whl")):
        name, release = wheel.name.split("-")[:2]
        try:
            version(name)
        except PackageNotFoundError:
            names[name] = f"{name}=={release}"
    return list(names.values())


def make_venv(folder: Path) -> Path:
    """Make a venv that sees this interpreter's packages, also those of a venv, which a venv of a venv does not see."""
    venv.create(folder, with_pip=False)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    seen = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (own / "machine.pth").write_text("\n".join(seen) + "\n")
    return folder / "bin" / "python"


def main() -> None:
    wheels, folder = Path(sys.argv[1]), Path(sys.argv[2])
    missing = missing_packages(wheels)
    python = make_venv(folder)
    if missing:
        offline = ["--no-index", "--no-deps", "--no-compile", "--find-links", str(wheels)]
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *offline, *missing], check=True
        )
    print(f"installed {len(missing)} packages: {' '.join(missing)}")


if __name__ == "__main__":
    main()
