"""Origins: flags and a dataset's recipe -> a reader that knows where its pictures come from."""

from typing import TYPE_CHECKING

from dashboards.config import BrowseConfig
from dashboards.pictures import PictureReader
from dashboards.rows import OpenedDataset
from pipeline.errors import InputError
from pipeline.pictures.cut_sources import Photos
from pipeline.recorded_inputs import find_inputs
from pipeline.shards.recipe import Json

if TYPE_CHECKING:
    from pipeline.encoders.protocols import Codec


def open_reader(dataset: OpenedDataset, config: BrowseConfig) -> PictureReader:
    """Make the reader of a dataset's pictures; where it stores sources, photos and VAE are not looked for.

    Raises:
        InputError: photos or VAE that a flag names are not there, or the VAE is not the dataset's.
    """
    if dataset.recipe["keep_source"]:
        return PictureReader(dataset.folder, dataset.recipe)
    store = find_inputs(dataset.folder, images=config.images, anonymous=config.anonymous).store
    photos = Photos(store, dataset.recipe) if store else None
    vae = _load_vae(config.vae, dataset.recipe) if config.vae else None
    return PictureReader(dataset.folder, dataset.recipe, photos=photos, vae=vae)


def _load_vae(name: str, recipe: Json) -> "Codec":
    from pipeline.encoders.facts import read_vae_facts

    facts, used = read_vae_facts(name), recipe["vae"]
    other = f"--vae {name}: is not the one that the dataset was encoded with; give that one, or leave it out"
    if (facts.factor, facts.channels) != (used["factor"], used["channels"]):
        raise InputError(other)
    from pipeline.encoders.fingerprints import make_deterministic
    from pipeline.encoders.loading import load_codec  # torch and diffusers take seconds

    make_deterministic()
    vae = load_codec(name, device="cpu", dtype=recipe["dtype"])
    if vae.fingerprint != used["fingerprint"]:
        raise InputError(other)
    return vae
