"""Config: the flags of `python -m pipeline.fit_encoders`. Each field's docstring is its flag's help."""

from dataclasses import dataclass
from typing import Literal

from pipeline.encoders.efficientnet import TOKEN_WIDTH
from pipeline.errors import InputError

MOST_FACTOR = 32  # px: the moments of its 3,072 numbers take 75 MB, of twice that 1.2 GB


@dataclass(frozen=True)
class FitConfig:
    """Fit small encoders to photos in closed form, where no VAE or CLIP is at hand: a codec, OUT/vae, by principal
    components of patches; and an exemplar encoder, OUT/image_encoder, by those of EfficientNet-Lite0's features (extra
    `demo`). The shard job takes OUT as --vae and as --exemplar-encoder. Equal photos and flags give equal bytes.
    """

    photos: tuple[str, ...]
    """Folders of photos, sub-folders included. A photo that lies there twice counts once."""
    out: str
    """The folder to write to."""
    parts: Literal["both", "codec", "exemplars"] = "both"
    """What to fit."""
    factor: int = 4
    """px along a patch's side, which becomes one latent cell."""
    channels: int = 12
    """Components of a patch, which become the channels of a latent."""
    resolution: int = 64
    """px along a side of the squares that patches are cut from: that of the dataset to be made."""
    dimension: int = 256
    """Numbers of an exemplar vector."""
    limit: int = 0
    """Take only that many photos, the first by the hash of their bytes. 0: all."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        if not self.photos:
            raise InputError("--photos: give at least one folder")
        for flag, value in (("--factor", self.factor), ("--channels", self.channels), ("--dimension", self.dimension)):
            if value < 1:
                raise InputError(f"{flag} {value}: give a whole number from 1")
        if self.limit < 0:
            raise InputError(f"--limit {self.limit}: give 0 or more")
        if self.channels > 3 * self.factor**2:
            raise InputError(f"--channels {self.channels}: a patch has {3 * self.factor**2} numbers; give no more")
        if self.dimension > TOKEN_WIDTH:
            raise InputError(f"--dimension {self.dimension}: a token is made of {TOKEN_WIDTH} numbers; give no more")
        if self.factor > MOST_FACTOR:
            raise InputError(f"--factor {self.factor}: takes too much memory; give {MOST_FACTOR} px at most")
        if self.resolution < self.factor or self.resolution % self.factor:
            raise InputError(f"--resolution {self.resolution}: give a multiple of --factor {self.factor}")
