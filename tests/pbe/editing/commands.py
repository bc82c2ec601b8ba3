"""Command lines of edits that work and take a moment."""

from pathlib import Path

FAST = ("--steps", "2", "--scheduler", "ddim")


def edit_flags(folder: Path, pictures: dict[str, Path], out: Path, *more: str) -> list[str]:
    """Edit one picture, by the paths of source, mask and exemplar."""
    given = [part for name, path in pictures.items() for part in (f"--{name}", str(path))]
    return ["--model", str(folder), *given, "--out", str(out), *FAST, *more]


def cases_flags(folder: Path, table: Path, out: Path, *more: str) -> list[str]:
    """Edit the cases of a table."""
    return ["--model", str(folder), "--cases", str(table), "--out", str(out), *FAST, *more]
