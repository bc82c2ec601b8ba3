"""Config: the flags of `browse`. Each field's docstring is its flag's help."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from pipeline.errors import InputError


@dataclass(frozen=True)
class BrowseConfig:
    """Look at a dataset, finished or not, or at a folder of edits."""

    dataset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    """What to look at: the folder of a dataset, or of edits (`pbe.edit --cases`), or any fsspec URL of one."""
    sheet: str = ""
    """Write one HTML file with all pictures inside, which any browser opens, also without network."""
    where: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Only samples that meet a condition, such as "label_name=Dog,Cat", split!=train or "mask_share<0.1"; given several
    times, all must hold."""
    limit: int = 0
    """At most that many samples, a seeded random choice; a higher limit shows the same and more. 0: 500."""
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

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        if not self.dataset:
            raise InputError("DATASET: is empty; give the folder of a dataset")
        if self.limit < 0:
            raise InputError(f"--limit {self.limit}: give a whole number from 1, or 0 for the default")
