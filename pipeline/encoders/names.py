"""Names: what --model, --vae and --exemplar-encoder may say -> where the weights are. Imports no torch.

A name is a word (`untrained`, `shipped`, `none`), a path, or a hub id (`owner/name`, for a part of it
`owner/name:subfolder`). A folder that is called like a word is named by more of its path: `./shipped`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from pipeline.errors import InputError
from pipeline.tensors.weight_files import WEIGHT_SUFFIXES

ExemplarEncoderName = Annotated[str, tyro.conf.arg(name="exemplar-encoder", aliases=["--clip"])]
"""A flag and the name that it had when there were CLIP towers alone, which recipes and records keep."""

UNTRAINED = "untrained"
SHIPPED = "shipped"
SHIPPED_FOLDER = Path(__file__).absolute().parents[2] / "pbe" / "small_model"
"""The model that comes with this package, and its encoders."""
NONE = "none"
WORDS = (UNTRAINED, SHIPPED, NONE)
NO_WEIGHTS = "give a folder that holds the model (config.json beside .safetensors or .bin weights), or `untrained`"
_HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+")


def placed(name: str) -> str:
    """Return the path of the folder that `shipped` stands for; any other name as it is."""
    return str(SHIPPED_FOLDER) if name == SHIPPED else name


def absolute_name(name: str) -> str:
    """Make a path that exists absolute; leave words, hub ids, and nothing, as they are."""
    return str(Path(name).absolute()) if name and name not in WORDS and Path(name).exists() else name


def recorded_name(name: str, words: Mapping[str, str]) -> str:
    """Name an encoder as a dataset records it: without its path, which means nothing elsewhere.

    Args:
        name: as the flag gave it.
        words: `untrained` and `shipped`, and what each stands for.
    """
    return f"{name} {words[name]}" if name in words else name.rstrip("/").rsplit("/", 1)[-1]


def recorded_word(recorded: str) -> str:
    """Return the word that `recorded_name` was given; empty: it was none, so that it must be given again."""
    word, space, _ = recorded.partition(" ")
    return word if space and word in (UNTRAINED, SHIPPED) else ""


def is_path(name: str) -> bool:
    """Whether a name can only mean a path, never a hub id; it need not exist.

    Such a name does not have the form `owner/name`, or ends like a file of weights, or lies in an existing folder.
    """
    repository = name.partition(":")[0]
    if not _HUB_ID.fullmatch(repository):
        return True
    return Path(name).suffix in WEIGHT_SUFFIXES or Path(repository).parent.is_dir()


def refuse_missing(what: str, name: str, remedy: str) -> None:
    """Refuse a path that does not exist, and `shipped` where this installation lacks it.

    Args:
        what: the flag or name that the error opens with.

    Raises:
        InputError: with the remedy.
    """
    if name == SHIPPED:
        if not (SHIPPED_FOLDER / "unet").is_dir():
            raise InputError(f"{what}: {SHIPPED_FOLDER} is missing; install pbe-pretrain again, or name another model")
    elif is_path(name) and not Path(name).exists():
        raise InputError(f"{what}: no such folder or file; {remedy}")


def unloadable(flag: str, name: str, error: Exception) -> InputError:
    """Describe in one line why a library could not load an encoder."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return InputError(f"{flag} {name}: cannot be loaded ({reason}); {NO_WEIGHTS}")


class Location(NamedTuple):
    """Where an encoder lies: a folder or hub id, and the subfolder in it; empty: none."""

    root: str
    subfolder: str


def locate(flag: str, name: str, part: str) -> Location:
    """Find the folder or hub id of an encoder.

    Args:
        name: not `untrained` or `none`; `shipped` too.
        part: the subfolder at which the folder of a complete pipeline, or of a training that exported one, is entered.

    Raises:
        InputError: it is a path, but not that of a folder.
    """
    refuse_missing(f"{flag} {name}", name, NO_WEIGHTS)
    folder = Path(placed(name))
    if not folder.exists():
        repository, _, subfolder = name.partition(":")
        return Location(repository, subfolder)
    if not folder.is_dir():
        raise InputError(f"{flag} {name}: is not a folder; {NO_WEIGHTS}")
    places = ("", part, f"model/{part}")
    return Location(str(folder), next((place for place in places if (folder / place / "config.json").exists()), ""))
