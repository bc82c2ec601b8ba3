"""Fit encoders: folders of photos -> a codec and an exemplar encoder in closed form, for --vae and --exemplar-encoder.

    python -m pipeline.fit_encoders --photos FOLDER --out OUT [--flags]

Running the same command again writes the same bytes.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
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
from pipeline.fitting.photos import end_squares, list_photos, object_squares, read_upright
from pipeline.hints import command_line, short_path
from pipeline.shards.recipe import digest_of
from pipeline.storage.urls import absolute_output
from pipeline.storage.writable import refuse_unwritable

if TYPE_CHECKING:
    from pipeline.fitting.patches import PatchComponents

CODEC, EXEMPLARS = "vae", "image_encoder"  # as the folder of a pipeline names these parts
_KINDS = {CODEC: PATCH_PCA, EXEMPLARS: EFFICIENTNET_PCA}
Cut = Callable[[Pixels, int], list[Pixels]]


def fit_encoders(arguments: list[str]) -> int:
    """Run the command; return the exit code."""
    config = tyro.cli(FitConfig, args=arguments, prog="python -m pipeline.fit_encoders")
    out = Path(absolute_output("--out", config.out))
    refuse_unwritable(f"--out {config.out}", out)
    parts = {"both": (CODEC, EXEMPLARS), "codec": (CODEC,), "exemplars": (EXEMPLARS,)}[config.parts]
    for part in parts:
        _refuse_foreign(config.out, out / part, _KINDS[part])
    if EXEMPLARS in parts:
        refuse_missing_packages(LITE0)
    with tqdm(desc="hashing", unit=" photos", leave=False, delay=1) as bar:
        photos = list_photos(config.photos, limit=config.limit, advance=bar.update)
    fitted_on = {"photos": len(photos), "sha256": digest_of(list(photos))}
    places = list(photos.values())
    if CODEC in parts:
        _fit_codec(config, out / CODEC, places, fitted_on)
    if EXEMPLARS in parts:
        _fit_exemplar_encoder(config, out / EXEMPLARS, places, fitted_on)
    print(_next_line(config, out, parts))
    return 0


def _next_line(config: FitConfig, out: Path, parts: tuple[str, ...]) -> str:
    flags = {"vae": CODEC, "exemplar_encoder": EXEMPLARS}
    named = {flag: short_path(str(out)) for flag, part in flags.items() if part in parts}
    command = command_line("python", "ray_jobs/shard_openimages.py", **named, resolution=config.resolution)
    return f"next: {command}, with --boxes and --images of your own"


def _fit_codec(config: FitConfig, out: Path, places: list[str], fitted_on: dict[str, Any]) -> None:
    from pipeline.fitting.patches import PatchMoments
    from pipeline.fitting.writing import write_codec  # torch takes seconds

    moments = PatchMoments(config.factor)
    moments.add(_squares(places, end_squares, config.resolution))
    components: PatchComponents = moments.components(config.channels)
    fitted_on = {**fitted_on, "resolution": config.resolution}
    write_codec(out, components, side=config.factor, fitted_on=fitted_on)
    print(
        f"codec: {out}, {config.channels} channels, {config.factor} px a cell, "
        f"{components.psnr:.1f} dB on these photos at {config.resolution} px"
    )


def _fit_exemplar_encoder(config: FitConfig, out: Path, places: list[str], fitted_on: dict[str, Any]) -> None:
    from pipeline.encoders.efficientnet import load_efficientnet
    from pipeline.encoders.fingerprints import make_deterministic
    from pipeline.fitting.features import fit_features
    from pipeline.fitting.writing import write_exemplar_encoder

    make_deterministic()
    squares = _squares(places, object_squares, PUBLISHED[LITE0].side)
    whole, each = fit_features(load_efficientnet(LITE0), squares, config.dimension)
    write_exemplar_encoder(out, whole, each, fitted_on=fitted_on)
    print(
        f"exemplar encoder: {out}, {config.dimension} numbers with {whole.share:.0%} of the variance of its features, "
        f"tokens with {each.share:.0%}"
    )


def _squares(places: list[str], cut: Cut, size: int) -> Iterator[Pixels]:
    """Cut the squares of all photos that can be used, and say which cannot.

    Raises:
        InputError: none can.
    """
    lost: Counter[str] = Counter()
    with tqdm(total=len(places), unit=" photos", leave=False, delay=1) as bar:
        for photo in read_upright(places, advance=bar.update):
            if isinstance(photo, PhotoError):
                lost[photo.reason] += 1
            else:
                yield from cut(photo, size)
    if lost:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in lost.most_common())
        if lost.total() == len(places):
            raise InputError(f"--photos: none of the {len(places):,} photos can be used ({reasons}); give others")
        print(f"photos not used: {lost.total():,} ({reasons})")


def _refuse_foreign(flag: str, folder: Path, kind: str) -> None:
    """Refuse to write over what is not an encoder of this kind.

    Raises:
        InputError: naming the folder.
    """
    if not folder.exists():
        return
    try:
        config = json.loads((folder / CONFIG).read_text())
        own = kind in (config.get("_class_name"), config.get("model_type"))
    except (OSError, ValueError, AttributeError):
        own = False
    if not own:
        raise InputError(f"--out {flag}: {folder} holds something other than an encoder of this command; give another")


if __name__ == "__main__":
    sys.exit(run_command(fit_encoders))
