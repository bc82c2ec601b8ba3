"""Configs: a JSON file of a model's folder -> what it says. Imports no torch."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import InputError


def read_json(path: Path, *, what: str, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        what, remedy: how an error begins and ends.

    Raises:
        InputError: it is missing, or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{what}: cannot be read as JSON ({error}); {remedy}") from error


def read_config(path: Path, *, what: str, remedy: str) -> dict[str, Any]:
    """Read a config; see `read_json`.

    Raises:
        InputError: it is missing, or not a JSON object.
    """
    found = read_json(path, what=what, remedy=remedy)
    if not isinstance(found, dict):
        raise InputError(f"{what}: holds a {type(found).__name__}, so that it is not a model's config; {remedy}")
    return found
