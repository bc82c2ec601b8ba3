"""Weight files: a folder -> the file that holds its weights, or the shards that an index names. Imports no torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.tensors.configs import read_json

SAFE, PICKLED = ".safetensors", (".ckpt", ".pt", ".pth", ".bin")
WEIGHT_SUFFIXES = (SAFE, *PICKLED)
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
FOLDER_SUFFIXES = (SAFE, ".bin")  # safetensors before pickles
PRECISIONS = ("", ".fp16", ".bf16")  # full precision first
INDEX_SUFFIX = ".json"
_SHARD = "-?????-of-?????"
_NAMED = 120  # characters of a name in an error
_COPY_AGAIN = "copy the model's folder again, complete"


def find_weights(folder: Path, *, variants: Sequence[str] = PRECISIONS) -> Path | None:
    """Find the weights in a part's folder: a file, or the index of a sharded one.

    Safetensors come before pickles, and a variant of another precision only where there is no full one.
    """
    names = [name for variant in variants for suffix in FOLDER_SUFFIXES for name in _names(variant, suffix)]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def weight_patterns(variant: str, suffix: str) -> list[str]:
    """List the names that weights may have in a folder, their shards as patterns."""
    shards = [f"{stem}{variant}{_SHARD}{suffix}" for stem in STEMS]
    older = [f"{stem}{_SHARD}{variant}{suffix}" for stem in STEMS] if variant else []
    return [*_names(variant, suffix), *shards, *older]


def read_index(path: Path) -> dict[str, Path]:
    """Read the index of sharded weights.

    Returns:
        The file of each tensor, by its name; all lie in the index's folder.

    Raises:
        InputError: it is damaged, names a place outside its folder, or a file that is not there.
    """
    content = read_json(path, what=str(path), remedy=_COPY_AGAIN)
    listed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(listed, dict) or not listed:
        raise InputError(f"{path}: has no weight_map, which names the file of each tensor; {_COPY_AGAIN}")
    for name in set(map(str, listed.values())):
        if name != Path(name).name or Path(name).suffix not in WEIGHT_SUFFIXES:
            raise InputError(f"{path}: names {name!r}, which is not a file of weights beside it; {_COPY_AGAIN}")
        if not _is_there(path.parent / name):
            raise InputError(f"{path}: names {name[:_NAMED]}, which is not there; {_COPY_AGAIN}")
    return {str(tensor): path.parent / str(name) for tensor, name in listed.items()}


def refuse_lost_shards(weights: Path) -> None:
    """Refuse an index whose shards are not all there, before anything is read.

    Raises:
        InputError: see `read_index`.
    """
    if weights.suffix == INDEX_SUFFIX:
        read_index(weights)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no disk has so long a name
        return False


def _names(variant: str, suffix: str) -> Iterator[str]:
    yield from (f"{stem}{variant}{suffix}" for stem in STEMS)
    yield from (f"{stem}{suffix}.index{variant}.json" for stem in STEMS)
    if variant:  # as diffusers before 0.30 wrote it
        yield from (f"{stem}{suffix}{variant}.index.json" for stem in STEMS)
