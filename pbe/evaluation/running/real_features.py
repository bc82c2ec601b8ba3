"""Real features: a folder of real pictures, or a file -> what a Fréchet distance and a mixture are measured by."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from pbe.editing.inputs import read_picture
from pbe.evaluation.config import MixtureConfig
from pbe.evaluation.metrics.encoders.protocol import Features
from pbe.evaluation.metrics.encoders.specs import check_encoder
from pbe.evaluation.metrics.feature_cache import CachedEncoder
from pbe.evaluation.metrics.sets.mixture import fit_mixture, write_mixture
from pbe.evaluation.metrics.sets.real_set import RealSet, read_real_set, real_set_of, write_real_set
from pbe.evaluation.running.output import CACHE
from pipeline.ahead import work_ahead
from pipeline.arrays import Pixels
from pipeline.decoding.resize import cut
from pipeline.errors import InputError
from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder
from pipeline.storage.globs import expand
from pipeline.storage.urls import absolute, is_local
from pipeline.storage.writable import refuse_unwritable

SIDE_PX = 512  # the paper's real pictures: the shorter side resized, the middle cut out
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
FILE = ".npz"
THREADS = 4
AHEAD = 16


def check_real(real: str) -> None:
    """Refuse a folder without real pictures, before anything is painted.

    Raises:
        InputError: it is none, or there is no picture.
    """
    if real and not real.endswith(FILE):
        list_pictures(real)


def open_real(real: str, encoder: CachedEncoder, kept: Folder) -> tuple[RealSet, list[str]]:
    """Read, or compute, the features of real pictures.

    Args:
        kept: remembers the features of a local folder until a name, size or time in it changes, so that tens of
            thousands of photos are decoded once. A folder of which a picture cannot be read is read again.

    Returns:
        The set, and what of it could not be read, one line each.

    Raises:
        InputError: there are none, or the file is of another encoder.
    """
    if real.endswith(FILE):
        return read_real_set(absolute(real), encoder=encoder.name, digest=encoder.digest), []
    place = _kept_place(real, encoder)
    if place and kept.read_if_there(place) is not None:
        try:
            return read_real_set(f"{kept.url}/{place}", encoder=encoder.name, digest=encoder.digest), []
        except InputError:  # damaged: as good as missing
            kept.remove(place)
    features, faults = features_of_folder(real, encoder)
    found = real_set_of(features, encoder=encoder.name, digest=encoder.digest, name=f"--real {real}")
    if place and not faults:
        write_real_set(f"{kept.url}/{place}", found)
    return found, faults


def _kept_place(real: str, encoder: CachedEncoder) -> str:
    """Name what is kept of a local folder; empty: it is not local, where times and sizes would be a request each."""
    if not is_local(real):
        return ""
    return f"{CACHE}/real/{digest_of([encoder.digest, SIDE_PX, list_stamps(real)])[:32]}{FILE}"


def list_stamps(real: str) -> list[list[str | int]]:
    """List the pictures of a local folder with their sizes and modification times (ns).

    Raises:
        InputError: there is no picture.
    """
    stats = [(place, Path(absolute(place)).stat()) for place in list_pictures(real)]
    return [[place, stat.st_size, stat.st_mtime_ns] for place, stat in stats]


def list_pictures(real: str) -> list[str]:
    """List the pictures of a folder, and of the folders in it.

    Raises:
        InputError: it is none, or there is no picture.
    """
    if is_local(real) and not Path(absolute(real)).is_dir():
        raise InputError(f"--real {real}: is no folder; give one of real pictures, or their features ({FILE})")
    try:
        listed = expand(f"{absolute(real)}/**/*")
    except InputError as error:
        raise InputError(f"--real {real}: {error}") from error
    places = [place for place in listed if PurePosixPath(place).suffix.lower() in SUFFIXES]
    if not places:
        raise InputError(f"--real {real}: holds no pictures ({', '.join(SUFFIXES)}); give a folder of real ones")
    return places


def features_of_folder(real: str, encoder: CachedEncoder) -> tuple[Features, list[str]]:
    """Encode all pictures of a folder and of those in it, each cut to a square of SIDE_PX.

    Returns:
        Features [n, d], and what could not be read.

    Raises:
        InputError: there is no picture.
    """
    places = list_pictures(real)
    blocks, faults = [], []
    with ThreadPoolExecutor(THREADS) as pool, tqdm(total=len(places), desc="real pictures", unit="picture") as bar:
        for read in work_ahead(pool, _read_square, places, ahead=AHEAD):
            bar.update()
            if isinstance(read, str):
                faults.append(read)
            else:
                blocks.append(encoder.encode([read]))
    encoder.flush()
    if not blocks:
        raise InputError(f"--real {real}: none of its {len(places)} pictures can be read; the first: {faults[0]}")
    return np.concatenate(blocks), faults


def fit_real_mixture(config: MixtureConfig) -> int:
    """Fit a mixture as the command line says; return the exit code."""
    if not config.out.endswith(FILE):
        raise InputError(f"--out {config.out}: give a file name that ends with {FILE}")
    if is_local(config.out):
        refuse_unwritable(f"--out {config.out}", Path(absolute(config.out)).parent)
    check_encoder(config.features)
    check_real(config.real)
    from pbe.evaluation.metrics.encoders.opening import open_encoder  # torch takes seconds

    kept = Folder(f"{absolute(config.out).removesuffix(FILE)}-features")
    encoder = CachedEncoder(open_encoder(config.features, device=config.device or "cpu"), kept)
    if config.real.endswith(FILE):
        features = read_real_set(absolute(config.real), encoder=encoder.name, digest=encoder.digest).features
        if features is None:
            raise InputError(f"--real {config.real}: holds statistics alone; a mixture needs features, or a folder")
    else:
        features, faults = features_of_folder(config.real, encoder)
        for fault in faults[:10]:
            print(f"left out: {fault}")
    mixture = fit_mixture(
        features,
        encoder=encoder.name,
        digest=encoder.digest,
        components=config.components,
        seed=config.seed,
        name=f"--real {config.real}",
    )
    write_mixture(absolute(config.out), mixture)
    print(f"mixture of {config.components} Gaussians, {len(features):,} pictures, {encoder.name}: {config.out}")
    return 0


def _read_square(place: str) -> Pixels | str:
    """Read a picture's middle square at SIDE_PX; text: why it cannot be read."""
    try:
        pixels = read_picture(place, "real picture")
    except InputError as error:
        return str(error)
    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return cut(pixels, (left, top, left + side, top + side), SIDE_PX)
