"""Facts: what --vae and --exemplar-encoder name -> shapes of latents and vectors, and the version of the weights.

All of it comes from config.json and the files' sizes and times, so that a driver needs neither torch nor the weights.
"""

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.encoders.efficientnet import CODE, LITE0, refuse_missing_packages
from pipeline.encoders.names import NO_WEIGHTS, UNTRAINED, locate, placed, unloadable
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.errors import InputError
from pipeline.tensors import configs
from pipeline.tensors.weight_files import FOLDER_SUFFIXES, find_weights, refuse_lost_shards

VAE_CLASSES = ("AutoencoderKL", "AutoencoderTiny")
PATCH_PCA = "PatchPca"
CODEC_CLASSES = (*VAE_CLASSES, PATCH_PCA)
CLIP_TYPES = ("clip", "clip_vision_model")
EFFICIENTNET_PCA = "efficientnet_pca"  # the model type of its config
EXEMPLAR_ENCODERS = f"give a CLIP model, or what pipeline.fit_encoders makes ({EFFICIENTNET_PCA})"
CONFIG = "config.json"
UNTRAINED_FACTOR, UNTRAINED_CHANNELS, UNTRAINED_DIMENSION = 8, 4, 64
# What diffusers and transformers take where a config is silent.
_KL_BLOCKS, _TINY_BLOCKS, _LATENT_CHANNELS, _HIDDEN_SIZE = (64,), (64, 64, 64, 64), 4, 768


@dataclass(frozen=True)
class VaeFacts:
    """What a recipe says of the source encoder.

    Args:
        factor: source px a latent cell.
        fingerprint: of weights, config and precision; empty until the weights have been read.
    """

    factor: int
    channels: int
    fingerprint: str = ""


@dataclass(frozen=True)
class ClipFacts:
    """What a recipe says of the exemplar encoder; `dimension` is the length of its vectors."""

    dimension: int
    fingerprint: str = ""


@dataclass(frozen=True)
class EncoderFacts:
    """What a recipe says of both encoders."""

    vae: VaeFacts
    clip: ClipFacts

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "EncoderFacts":
        """Read what `to_json` gave.

        Raises:
            TypeError, KeyError: it is something else.
        """
        return cls(VaeFacts(**content["vae"]), ClipFacts(**content["clip"]))


def facts_of(sources: Codec, exemplars: ExemplarEncoder) -> EncoderFacts:
    """Describe loaded encoders."""
    return EncoderFacts(
        VaeFacts(sources.factor, sources.channels, sources.fingerprint),
        ClipFacts(exemplars.dimension, exemplars.fingerprint),
    )


def read_vae_facts(name: str, *, flag: str = "--vae") -> VaeFacts:
    """Read factor and channels of a codec from its config.json.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`.

    Raises:
        InputError: it is missing, or of an unknown class.
    """
    if name == UNTRAINED:
        return VaeFacts(UNTRAINED_FACTOR, UNTRAINED_CHANNELS)
    config = read_config(flag, name, find_config(flag, name, "vae"))
    class_name = config.get("_class_name")
    if class_name not in CODEC_CLASSES:
        raise InputError(f"{flag} {name}: class {class_name}; give one of {', '.join(CODEC_CLASSES)}")
    if class_name == PATCH_PCA:
        factor, channels = (_count(config, key, 0, f"{flag} {name}") for key in ("factor", "latent_channels"))
        return VaeFacts(factor, channels)
    widths = _widths(config)
    if not isinstance(widths, list | tuple):
        raise InputError(f"{flag} {name}: block_out_channels {widths!r} is not a list; {NO_WEIGHTS}")
    return VaeFacts(latent_factor(config), _count(config, "latent_channels", _LATENT_CHANNELS, f"{flag} {name}"))


def latent_factor(config: Mapping[str, Any]) -> int:
    """Return the px along a latent cell's side, by a codec's config: every level of a VAE but the last doubles them.

    0: the config does not say.
    """
    if config.get("_class_name") == PATCH_PCA:
        factor = config.get("factor")
        return factor if type(factor) is int else 0
    return int(2 ** (len(_widths(config)) - 1))


def _widths(config: Mapping[str, Any]) -> Any:
    """Return the channels of a VAE's levels; a config from a file may hold anything there."""
    default = _TINY_BLOCKS if config.get("_class_name") == "AutoencoderTiny" else _KL_BLOCKS
    return config.get("block_out_channels") or config.get("encoder_block_out_channels") or default


def read_clip_facts(name: str, *, flag: str = "--exemplar-encoder") -> ClipFacts:
    """Read the length of an exemplar encoder's vectors from its config.json.

    Raises:
        InputError: it is missing, of an unknown kind, or the packages of its network are.
    """
    if name == UNTRAINED:
        return ClipFacts(UNTRAINED_DIMENSION)
    config = read_config(flag, name, find_config(flag, name, "image_encoder"))
    if config.get("model_type") == EFFICIENTNET_PCA:
        refuse_missing_packages(LITE0)
        return ClipFacts(_count(config, "hidden_size", 0, f"{flag} {name}"))
    if config.get("model_type") not in CLIP_TYPES:
        raise InputError(f"{flag} {name}: model type {config.get('model_type')}; {EXEMPLAR_ENCODERS}")
    vision = config.get("vision_config", {}) if config["model_type"] == "clip" else config
    if not isinstance(vision, dict):
        raise InputError(f"{flag} {name}: vision_config {vision!r} is not a tower's config; {NO_WEIGHTS}")
    return ClipFacts(_count(vision, "hidden_size", _HIDDEN_SIZE, f"{flag} {name}"))


def stamp_weights(flag: str, name: str, part: str) -> list[Any]:
    """Describe the version of an encoder's files, without reading them.

    Args:
        part: the folder that a complete pipeline keeps it in.

    Returns:
        Path, size and modification time (ns) of each file, and the version of what code a package has of it; for a hub
        id, the snapshot's commit.
    """
    if name == UNTRAINED:
        return [UNTRAINED]
    config = find_config(flag, name, part)
    if not Path(placed(name)).exists():
        return [name, config.parts[config.parts.index("snapshots") + 1]]
    files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in _files_beside(config)]
    kind = read_config(flag, name, config).get("model_type")
    return [*files, importlib.metadata.version(CODE)] if kind == EFFICIENTNET_PCA else files


def find_config(flag: str, name: str, part: str) -> Path:
    """Find the config.json of an encoder, in its folder or in the hub's cache, where it is fetched to if need be.

    Raises:
        InputError: there is none, or no weights lie beside it, or not all of their shards.
    """
    root, subfolder = locate(flag, name, part)
    if Path(root).exists():
        config = Path(root) / subfolder / CONFIG
        weights = find_weights(config.parent)
        if not config.is_file() or weights is None:
            missing = "weights" if config.is_file() else "config.json"
            raise InputError(f"{flag} {name}: no {missing} there; {NO_WEIGHTS}")
        refuse_lost_shards(weights)
        return config.absolute()
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(root, CONFIG, subfolder=subfolder or None))
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        raise unloadable(flag, name, error) from error


def _files_beside(config: Path) -> Iterator[Path]:
    return (path for path in sorted(config.parent.iterdir()) if path.suffix in (".json", *FOLDER_SUFFIXES))


def read_config(flag: str, name: str, path: Path) -> dict[str, Any]:
    """Read the config.json of an encoder.

    Raises:
        InputError: it is damaged.
    """
    return configs.read_config(path, what=f"{flag} {name}: {path.name}", remedy=NO_WEIGHTS)


def _count(config: dict[str, Any], key: str, default: int, what: str) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or value < 1:
        raise InputError(f"{what}: {key} {value!r} is not a whole number from 1; {NO_WEIGHTS}")
    return value
