"""Reading: what --vae and --exemplar-encoder name -> tensors and config, the same for every command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.encoders.facts import find_config, read_config
from pipeline.encoders.names import locate
from pipeline.errors import InputError
from pipeline.tensors.hub import fetch
from pipeline.tensors.names import Tensors, modern_vae, plain_tower, under
from pipeline.tensors.reading import read_part
from pipeline.tensors.weight_files import find_weights


@dataclass(frozen=True)
class EncoderWeights:
    """An encoder that has not been built."""

    tensors: Tensors
    """Under the names used here, in the precision that they were saved in."""
    config: dict[str, Any]
    """Its config.json."""
    folder: Path
    """Where it lies, here or in the hub's cache."""


def read_vae(name: str, *, flag: str = "--vae") -> EncoderWeights:
    """Read a VAE.

    Args:
        name: a folder of a VAE or of a pipeline that has one, or a hub id (`id:subfolder`).

    Raises:
        InputError: it is missing, incomplete, or cannot be read safely.
    """
    folder = encoder_folder(flag, name, "vae")
    return EncoderWeights(modern_vae(read_part(folder)), read_config(flag, name, folder / "config.json"), folder)


def read_tower(name: str, *, flag: str = "--exemplar-encoder") -> EncoderWeights:
    """Read a CLIP vision tower, likewise.

    Args:
        name: also of a complete CLIP, or of Paint by Example's image encoder, which both hold a tower.
    """
    folder = encoder_folder(flag, name, "image_encoder")
    tensors = read_part(folder)
    inner = under(tensors, "model.") or tensors  # Paint by Example's encoder holds the tower beside the mapper
    return EncoderWeights(plain_tower(inner), read_config(flag, name, folder / "config.json"), folder)


def encoder_folder(flag: str, name: str, part: str, *, extra: Sequence[str] = ()) -> Path:
    """Return the local folder of an encoder, from the hub where the name is an id.

    Args:
        part: the folder that a complete pipeline keeps it in.
        extra: patterns of further files to take from the hub.

    Raises:
        InputError: it is missing, or has no config or weights.
    """
    root, subfolder = locate(flag, name, part)
    if Path(root).is_dir():
        return find_config(flag, name, part).parent
    hint = f"give a folder or hub id (`id:subfolder`) of the model, such as a pipeline's {part}/, or `untrained`"
    folder = fetch(root, parts=[subfolder], extra=extra, what=f"{flag} {name}", hint=hint) / subfolder
    if not (folder / "config.json").is_file() or find_weights(folder) is None:
        raise InputError(f"{flag} {name}: the hub has no config.json with weights there; {hint}")
    return folder
