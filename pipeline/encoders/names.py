"""Names: what --vae and --clip may say -> where the weights are."""

from pathlib import Path
from typing import Any

from pipeline.errors import InputError

UNTRAINED = "untrained"
NONE = "none"
NO_WEIGHTS = "give a folder that holds the model (config.json and .safetensors weights), or `untrained`"


def locate(flag: str, name: str, part: str) -> dict[str, Any]:
    """Find the folder or hub id, and the sub-folder in it: a whole pipeline's folder is entered at its part."""
    if Path(name).exists():
        if not Path(name).is_dir():
            raise InputError(f"{flag} {name}: is no folder; {NO_WEIGHTS}")
        inner = not (Path(name) / "config.json").exists() and (Path(name) / part / "config.json").exists()
        return {"pretrained_model_name_or_path": name, "subfolder": part if inner else None}
    if name.startswith(("/", ".", "~")):
        raise InputError(f"{flag} {name}: no such folder; {NO_WEIGHTS}")
    repository, _, subfolder = name.partition(":")
    return {"pretrained_model_name_or_path": repository, "subfolder": subfolder or None}
