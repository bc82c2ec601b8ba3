"""Config: the flags of `browse`. Each field's docstring is its flag's help."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from pipeline.errors import InputError

MapKind = Literal["pca", "tsne"]
MOST_TSNE = 5000


@dataclass(frozen=True)
class BrowseConfig:
    """Look at a dataset, finished or not, at trainings, or at a folder of edits: in FiftyOne, or as one HTML file."""

    paths: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATASET|RUN [RUN ...]")]
    """What to look at: the folder of a dataset, of a training, or of edits (`pbe.edit --cases`); a dataset may lie at
    any fsspec URL. Several trainings go into one --sheet."""
    sheet: str = ""
    """Write one HTML file with all pictures inside, which any browser opens, also without network."""
    where: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Only samples that meet a condition, such as "label_name=Dog,Cat", split!=train or "mask_share<0.1"; given several
    times, all must hold."""
    limit: int = 0
    """At most that many samples, a seeded random choice; a higher limit shows the same and more. 0: 500 in a
    sheet, 2,000 in FiftyOne. Of a training the worst and the best; 0: 24 in a sheet. Of an evaluation the worst;
    0: all."""
    images: tuple[str, ...] = ()
    """Where the photos are, for a dataset that stores no sources: folders or tar files. Default: those that the
    dataset was made from, where they are still there."""
    boxes: tuple[str, ...] = ()
    """Box tables, to see what became of each box. Default: as for --images."""
    image_info: tuple[str, ...] = ()
    """Image-info CSV, whose Rotation turns photos. Default: as for --images."""
    classes: str = ""
    """Class names CSV. Default: as for --images."""
    vae: str = ""
    """The VAE that the dataset was encoded with, to decode sources that are neither stored nor found: a diffusers
    folder or hub id, or `untrained`."""
    anonymous: bool = False
    """Read a public bucket without credentials."""
    dropped: bool = True
    """In FiftyOne: show photos with all their boxes, too, coloured by what became of them."""
    similar: bool = True
    """In FiftyOne: search similar exemplars and near-duplicates by the stored vectors."""
    map: MapKind = "pca"
    """In FiftyOne: how the map of the exemplars is made; t-SNE takes a minute, and at most 5,000 samples."""
    port: int = 0
    """Of the FiftyOne server, on 127.0.0.1. 0: the first free one from 5151."""
    extract: str = ""
    """Write the pictures into this folder for stock FiftyOne and other tools, instead of serving them."""
    tagged: str = ""
    """Write the boxes that were tagged in FiftyOne to this CSV, which `shard_openimages.py --deny` takes."""
    forget: bool = False
    """Remove what FiftyOne holds of this folder, tags included; nothing on disk."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        if not self.paths or not all(self.paths):
            raise InputError(f"DATASET: {'is empty' if self.paths else 'is missing'}; give the folder of a dataset")
        if len(self.paths) > 1 and not self.sheet:
            raise InputError(f"{' and '.join(self.paths)}: give one folder, or --sheet page.html for several trainings")
        if self.limit < 0:
            raise InputError(f"--limit {self.limit}: give a whole number from 1, or 0 for the default")
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port {self.port}: give a port from 1 to 65535, or 0 for a free one")
        flags = {"--sheet": self.sheet, "--extract": self.extract, "--tagged": self.tagged, "--forget": self.forget}
        given = [flag for flag, value in flags.items() if value]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)}: give one of them at a time")
