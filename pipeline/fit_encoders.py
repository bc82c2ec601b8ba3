"""Fit encoders: folders of photos -> a codec and an exemplar encoder in closed form, for --vae and --exemplar-encoder.

    python -m pipeline.fit_encoders --photos FOLDER --out OUT [--flags]

Running the same command again writes the same bytes; an encoder of other photos or flags is not written over.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tqdm import tqdm

from pipeline.arrays import Pixels
from pipeline.command import run_command
from pipeline.encoders.efficientnet import LITE0, PUBLISHED, refuse_missing_packages
from pipeline.encoders.facts import CONFIG, EFFICIENTNET_PCA, PATCH_PCA
from pipeline.errors import InputError, PhotoError
from pipeline.fitting.config import FitConfig
from pipeline.fitting.photos import SQUARES, CutSquares, end_squares, list_photos, object_squares, read_squares
from pipeline.hints import command_line, short_path
from pipeline.shards.recipe import digest_of
from pipeline.storage.writable import local_output
from pipeline.tensors.weight_files import SAFE

if TYPE_CHECKING:
    from pipeline.fitting.patches import PatchComponents

CODEC, EXEMPLARS = "vae", "image_encoder"  # as the folder of a pipeline names these parts
_KINDS = {CODEC: PATCH_PCA, EXEMPLARS: EFFICIENTNET_PCA}
Write = Callable[[Path], None]


def fit_encoders(arguments: list[str]) -> int:
    """Run the command; return the exit code."""
    config = tyro.cli(FitConfig, args=arguments, prog="python -m pipeline.fit_encoders")
    out = local_output("--out", config.out)
    parts = {"both": (CODEC, EXEMPLARS), "codec": (CODEC,), "exemplars": (EXEMPLARS,)}[config.parts]
    there = {part: _read_own(config.out, out / part, part) for part in parts}
    if EXEMPLARS in parts:
        refuse_missing_packages(LITE0)
    with tqdm(desc="hashing", unit=" photos", leave=False, delay=1) as bar:
        photos = list_photos(config.photos, limit=config.limit, advance=bar.update)
    if EXEMPLARS in parts:
        _refuse_few(config.dimension, len(photos))
    wanted = _wanted(config, photos)
    for part, other in there.items():
        if other and any(other.get(name) != value for name, value in wanted[part].items()):
            raise InputError(
                f"--out {config.out}: {out / part} was fitted to other photos or with other flags; give another folder"
            )
    fit = {CODEC: _fit_codec, EXEMPLARS: _fit_exemplar_encoder}
    # Nothing is written before all is fitted.
    for write in [fit[part](config, list(photos.values()), wanted[part]["fitted_on"]) for part in parts]:
        write(out)
    print(_next_line(config, out, parts))
    return 0


def _wanted(config: FitConfig, photos: Collection[str]) -> dict[str, dict[str, Any]]:
    """Say what the configs of both encoders tell of these flags and photos.

    Args:
        photos: their hashes.
    """
    fitted_on = {"photos": len(photos), "sha256": digest_of(list(photos))}
    return {
        CODEC: {
            "factor": config.factor,
            "latent_channels": config.channels,
            "fitted_on": {**fitted_on, "resolution": config.resolution},
        },
        EXEMPLARS: {"hidden_size": config.dimension, "fitted_on": fitted_on},
    }


def _next_line(config: FitConfig, out: Path, parts: tuple[str, ...]) -> str:
    flags = {"vae": CODEC, "exemplar_encoder": EXEMPLARS}
    named = {flag: short_path(str(out)) for flag, part in flags.items() if part in parts}
    command = command_line("python", "ray_jobs/shard_openimages.py", **named, resolution=config.resolution)
    return f"next: {command}, with --boxes and --images of your own"


def _fit_codec(config: FitConfig, places: list[str], fitted_on: dict[str, Any]) -> Write:
    """Fit the codec; returns what writes it into a folder, and says so."""
    from pipeline.fitting.patches import PatchMoments
    from pipeline.fitting.writing import write_codec  # torch takes seconds

    moments = PatchMoments(config.factor)
    moments.add(_squares(places, partial(end_squares, size=config.resolution)))
    components: PatchComponents = moments.components(config.channels)

    def write(out: Path) -> None:
        write_codec(out / CODEC, components, side=config.factor, fitted_on=fitted_on)
        print(
            f"codec: {out / CODEC}, {config.channels} channels, {config.factor} px a cell, "
            f"{components.psnr:.1f} dB on these photos at {config.resolution} px"
        )

    return write


def _fit_exemplar_encoder(config: FitConfig, places: list[str], fitted_on: dict[str, Any]) -> Write:
    """Fit the exemplar encoder, likewise."""
    from pipeline.encoders.efficientnet import load_efficientnet
    from pipeline.encoders.fingerprints import make_deterministic
    from pipeline.fitting.features import fit_features
    from pipeline.fitting.writing import write_exemplar_encoder

    make_deterministic()
    squares = _squares(places, partial(object_squares, size=PUBLISHED[LITE0].side))
    whole, each = fit_features(load_efficientnet(LITE0), squares, config.dimension)

    def write(out: Path) -> None:
        write_exemplar_encoder(out / EXEMPLARS, whole, each, fitted_on=fitted_on)
        print(
            f"exemplar encoder: {out / EXEMPLARS}, {config.dimension} numbers with {whole.share:.0%} of the variance "
            f"of its features, tokens with {each.share:.0%}"
        )

    return write


def _squares(places: list[str], cut_squares: CutSquares) -> Iterator[Pixels]:
    """Cut the squares of all photos that can be used, and say which cannot.

    Raises:
        InputError: none can.
    """
    lost: Counter[str] = Counter()
    with tqdm(total=len(places), unit=" photos", leave=False, delay=1) as bar:
        for squares in read_squares(places, cut_squares, advance=bar.update):
            if isinstance(squares, PhotoError):
                lost[squares.reason] += 1
            else:
                yield from squares
    if lost:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in lost.most_common())
        if lost.total() == len(places):
            raise InputError(f"--photos: none of the {len(places):,} photos can be used ({reasons}); give others")
        print(f"photos not used: {lost.total():,} ({reasons})")


def _read_own(flag: str, folder: Path, part: str) -> dict[str, Any]:
    """Read the config of an encoder that this command wrote; empty: there is none.

    Raises:
        InputError: the folder holds something else, which would be written over.
    """
    if not folder.exists():
        return {}
    try:
        config = json.loads((folder / CONFIG).read_text())
        own = _KINDS[part] in (config.get("_class_name"), config.get("model_type"))
        own = own and {path.suffix for path in folder.iterdir()} == {Path(CONFIG).suffix, SAFE}
    except (OSError, ValueError, AttributeError):
        own = False
    if not own:
        raise InputError(f"--out {flag}: {folder} holds something other than an encoder of this command; give another")
    return config  # type: ignore[no-any-return]


def _refuse_few(dimension: int, photos: int) -> None:
    """Refuse fewer pictures than numbers, which could not be told apart.

    Raises:
        InputError: naming both.
    """
    if photos * SQUARES <= dimension:
        raise InputError(
            f"--dimension {dimension}: {photos:,} photos give at most {photos * SQUARES:,} pictures; give a smaller "
            "number, or more photos"
        )


if __name__ == "__main__":
    sys.exit(run_command(fit_encoders))
