"""Fine-tuning: what a model's configs say of its size -> a dataset's resolution, and the command that trains on it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.config import ShardConfig
from pipeline.encoders.facts import find_config, read_vae_facts
from pipeline.encoders.names import SHIPPED, UNTRAINED, placed
from pipeline.hints import command_line, short_path
from pipeline.jobs.next_steps import LARGE, OF_SHIPPED, SMALL, batch_flags, prediction_words
from pipeline.storage.urls import is_local
from pipeline.tensors.configs import read_config
from schemas.shards import SPLITS, UnitRecord

RESOLUTION = 512  # where no model says another one: Stable Diffusion v1's
LARGE_WIDTH = 320  # of a UNet's first level, Stable Diffusion v1's: from there on the small preset takes too much room
Json = dict[str, Any]


def own_resolution(model: str, vae: str) -> int:
    """Find the side, in px, of the pictures that a model was made for.

    Args:
        model: a folder, a hub id, `shipped`, or none of its own: a checkpoint, `untrained`, empty.
        vae: its VAE, which says how many px a latent cell has.

    Raises:
        InputError: the model's or the VAE's config cannot be read.
    """
    cells = _read_unet(model).get("sample_size")
    return cells * read_vae_facts(vae).factor if type(cells) is int and cells > 0 else RESOLUTION


def fine_tune_line(config: ShardConfig, model: str, records: Sequence[UnitRecord]) -> str:
    """Say how to fine-tune the model on the dataset: one command, which runs as it is printed.

    Args:
        model: as given; where it has no weights, or none is named, a small model is trained from the beginning.
    """
    counts = [
        sum(record.samples for record in records if (record.draw, record.split) == (draw, SPLITS[0]))
        for draw in range(config.draws)
    ]
    smallest = min(counts)
    if not smallest:  # an epoch takes one draw
        return f"no fine-tuning: draw {counts.index(0)} has no sample in the {SPLITS[0]} split; mend or add pairs"
    start = model not in ("", UNTRAINED)
    preset = OF_SHIPPED if model == SHIPPED else _preset(_read_unet(model)) if start else SMALL
    out = f"{config.out}-tuned" if is_local(config.out) else f"{PurePosixPath(config.out).name}-tuned"
    flags: dict[str, str | int] = {"data": short_path(config.out)}
    if start:
        flags["init_from"] = short_path(model)
    flags |= {"vae": short_path(config.vae), "exemplar_encoder": short_path(config.clip)}
    flags |= {"steps": 2000, "warmup_steps": 100, **batch_flags(preset, smallest)}
    words = ["python", "-m", "pbe.train", preset]
    words += ["--no-bottleneck"] if start and _takes_all_tokens(model) else []
    words += prediction_words(model_folder(Path(placed(model)))) if start else []
    return f"fine-tune: {command_line(*words, **flags, out=short_path(out))}"


def model_folder(model: Path) -> Path:
    """Find the model in a folder: that of a training keeps it in `model/`."""
    return model if (model / "unet").is_dir() else model / "model"


def _read_unet(model: str) -> Json:
    """Read the config of a model's UNet; empty where there can be none.

    Raises:
        InputError: it is missing or damaged.
    """
    place = Path(placed(model))
    if model in ("", UNTRAINED) or place.is_file():
        return {}
    if place.is_dir():
        return _config(model, model_folder(place) / "unet" / "config.json")
    return _config(model, find_config("--model", f"{model}:unet", "unet"))


def _takes_all_tokens(model: str) -> bool:
    """Whether a model of this project was trained with all tokens of an exemplar, as its note says."""
    note = model_folder(Path(placed(model))) / "pbe.json"
    return note.is_file() and _config(model, note).get("bottleneck") is False


def _config(model: str, path: Path) -> Json:
    return read_config(path, what=f"--model {model}: {path}", remedy="copy the model again")


def _preset(unet: Json) -> str:
    """Choose the trainer's preset by the UNet's width; a checkpoint, without config, is Stable Diffusion v1's size."""
    widths = unet.get("block_out_channels")
    small = isinstance(widths, list) and widths and type(widths[0]) is int and widths[0] < LARGE_WIDTH
    return SMALL if small else LARGE
