"""Convert a Paint by Example model: a folder, .ckpt or hub id -> diffusers' folder, ours, or an original .ckpt.

    python -m pbe.convert --model SOURCE --out FOLDER [--flags]

Running the same command again writes the same folder.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from pbe.weights.averages import Choice, check_choice, raw_beside, refuse_single
from pbe.weights.hub import find_configs
from pbe.weights.model_files import encoder_config, read_json, refuse_missing_network
from pbe.weights.own_note import ONLY_NOISE, is_own, read_prediction, refuse_no_conditioner
from pipeline.command import guard
from pipeline.encoders.names import ExemplarEncoderName
from pipeline.errors import InputError
from pipeline.hints import command_line, short_path
from pipeline.photos.sample_photos import installed_photo
from pipeline.storage.urls import absolute_output, is_local
from pipeline.storage.writable import refuse_unwritable

# A coffee cup in whose place a cat is painted, among the sample photos.
OWN_ENCODER = "image_encoder/config.json"
SOURCE, SOURCE_BOX, EXEMPLAR = "00c0ffee00000003", "170,30,430,330", "00c4e15ea0000002"


@dataclass(frozen=True)
class ConvertConfig:
    """Convert a Paint by Example model between the forms that it is published in, tensor by tensor unchanged."""

    model: str
    """The model: diffusers' folder or ours, a training's folder, a .ckpt of the original code, a hub id such as
    Fantasy-Studio/Paint-by-Example, or `shipped`, the small model of this package."""
    out: str
    """The folder to write, or a file NAME.ckpt for the original code. A model folder of this project is replaced,
    everything else is kept."""
    layout: Literal["auto", "diffusers", "pbe", "ckpt"] = "auto"
    """`diffusers`: its Paint by Example folder; `pbe`: our own folder; `ckpt`: the original code's checkpoint. `auto`:
    a checkpoint if --out ends in .ckpt, else diffusers' folder if the parts fit it, else ours."""
    vae: str = ""
    """A VAE to use instead of the model's: folder, hub id (`id:subfolder`), .ckpt or `untrained`; `none`: leave it
    out."""
    clip: ExemplarEncoderName = ""
    """An exemplar encoder to use instead of the model's, likewise."""
    weights: Choice = "auto"
    """Where the raw weights and their moving average lie side by side: `raw` or `ema`. `auto`: those under the plain
    names, which are the raw ones in a checkpoint and beside unet_ema, and the average in a training's folder."""
    with_ema: bool = False
    """For a .ckpt, of a model that has both: write the raw weights and, under the names of the original code's EMA
    (`model_ema.*`), their moving average. The original code then needs `use_ema: True`."""
    dtype: Literal["keep", "fp32", "fp16", "bf16"] = "keep"
    """Precision to write. `keep`: each tensor's own."""

    def __post_init__(self) -> None:
        """Refuse places that cannot be meant.

        Raises:
            InputError: naming the flag, the value and what to give.
        """
        if not self.model or not self.out:
            raise InputError("--model and --out: give both, the model to read and the folder to write")
        if not is_local(absolute_output("--out", self.out)):
            raise InputError(f"--out {self.out}: give a folder on a local disk; it is renamed there once complete")
        if self.layout != "auto" and (self.layout == "ckpt") != self.out.endswith(".ckpt"):
            kind = "a file that ends in .ckpt" if self.layout == "ckpt" else "a folder, not a .ckpt"
            raise InputError(f"--out {self.out}: for --layout {self.layout}, give {kind}")
        if self.with_ema and not self.out.endswith(".ckpt"):
            raise InputError(f"--with-ema: is for a .ckpt, --out {self.out} is none; give --weights raw or ema")
        if self.with_ema and self.weights != "auto":
            raise InputError(f"--weights {self.weights}: --with-ema writes both; leave one of the two out")


def main(arguments: list[str]) -> int:
    """Convert as the command line says; return the exit code."""
    return guard(lambda: _convert(arguments), go_on="--out is as it was")


def _convert(arguments: list[str]) -> int:
    config = tyro.cli(ConvertConfig, args=arguments, prog="python -m pbe.convert")
    check_paths(config)
    from pbe.weights.conversion import convert  # torch takes seconds, which --help and refusals need not wait for

    convert(**asdict(config), say=lambda line: print(line, flush=True))
    print(next_line(absolute_output("--out", config.out)))
    return 0


def next_line(model: str) -> str:
    """Say how to edit a photo that ships in a package with the model; or, of one without encoders, what it needs.

    Args:
        model: the folder or checkpoint that was written, by absolute path.
    """
    place = Path(model)
    if place.is_dir() and not ((place / "vae").is_dir() and (place / "image_encoder").is_dir()):
        return "the model has not all encoders: to edit with it, give pbe.edit --vae and --exemplar-encoder"
    flags = {"model": short_path(model), "source": str(installed_photo(SOURCE)), "box": SOURCE_BOX}
    out = f"{short_path(model.removesuffix('.ckpt'))}-edited.png"
    flags |= {"exemplar": str(installed_photo(EXEMPLAR)), "out": out}
    return f"next: {command_line('python', '-m', 'pbe.edit', **flags)}"


def check_paths(config: ConvertConfig) -> None:
    """Look at the model, the encoders and the place to write, here or on the hub.

    What this project did not write is never written over, nor the model itself.

    Raises:
        InputError: naming the flag, the value and what to give.
    """
    model = find_configs("--model", config.model)
    encoder_config("--vae", config.vae, "vae")
    exemplars = encoder_config("--exemplar-encoder", config.clip, "image_encoder")
    place = Path(absolute_output("--out", config.out)).resolve()  # a link's target is written, the link stays
    flag = f"--out {config.out}"
    if config.out.endswith(".ckpt") and place.exists():
        raise InputError(f"{flag}: exists already; remove it or give another name")
    if place.exists() and not is_own(place):
        raise InputError(f"{flag}: holds something other than a model of this project; give a new folder")
    refuse_unwritable(flag, place.parent)
    if model and not config.clip and (model / OWN_ENCODER).is_file():
        exemplars = read_json(model / OWN_ENCODER)
    refuse_missing_network(exemplars or {})
    if model is None:
        return
    for read in filter(None, (model, raw_beside(model))):
        if place.is_relative_to(read.resolve()) or read.resolve().is_relative_to(place):
            raise InputError(f"{flag}: is the model itself, or one lies in the other; give another folder")
    if read_prediction(model) == "v" and config.out.endswith(".ckpt"):
        raise InputError(f"{flag}: the original code cannot hold this model: {ONLY_NOISE}; give a folder")
    refuse_no_conditioner(config.model, model)
    check_choice(config.model, model, config.weights)
    if config.with_ema:
        refuse_single(config.model, model)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
