"""Config: the flags of a shard job. Each field's docstring is its flag's help; a preset is a named recipe."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.encoders.names import SHIPPED, UNTRAINED, ExemplarEncoderName
from pipeline.errors import InputError

SAMPLE_PHOTOS = "sample-photos"


@dataclass(frozen=True)
class ShardConfig:
    """Turn Open Images boxes and photos into shards of Paint-by-Example samples."""

    boxes: tuple[str, ...] = (SAMPLE_PHOTOS,)
    """Box tables: CSV (.gz too) or Parquet with Open Images columns; paths, URLs or quoted globs. `sample-photos`: the
    seven photos that ship inside scikit-image and scikit-learn. Giving this clears the preset's other inputs."""
    images: tuple[str, ...] = ()
    """Where the photos are: a folder of {ImageID}.jpg, a folder of such folders (train_0 ... train_f), or tar files
    (quoted glob). Several are tried in turn; a photo that lies in two of them must be the same."""
    image_info: tuple[str, ...] = ()
    """Image-info CSV (ImageID, Rotation, ...): photos with a Rotation turn by it, counter-clockwise, boxes too."""
    classes: str = ""
    """Class names CSV (/m/..., name). A label without a name keeps its id."""
    out: str = ""
    """Where the dataset goes: a folder or any fsspec URL. Default: runs/PRESET."""
    draws: int = 2
    """Draws a photo, in all. Raising it later adds shards and changes none."""
    resolution: int = 256
    """Side of the square source in px; a multiple of the VAE's factor."""
    photos_per_unit: int = 3
    """Photos that one task turns into shards; a shard holds at most that many samples."""
    split_shares: tuple[float, float, float] = (0.8, 0.2, 0.0)
    """Shares of the photos that go to train, validation and test, by hash of the photo's id."""
    vae: str = UNTRAINED
    """Codec: a diffusers AutoencoderKL or AutoencoderTiny folder or hub id (`id:subfolder` for a part of a repository),
    or what pipeline.fit_encoders makes. `shipped`: that of the small model of this package. `untrained`: a small seeded
    AutoencoderKL that has learned nothing."""
    clip: ExemplarEncoderName = UNTRAINED
    """Exemplar encoder: a transformers CLIP vision tower, folder or hub id, or what pipeline.fit_encoders makes.
    `shipped`: that of the small model of this package. `untrained`: a small seeded CLIP that has learned nothing."""
    filters: tuple[str, ...] = ("area",)
    """Box filters, in order. Presets: `area` (the paper's: relative area in [0.02, 0.8]) and `clean`. Rules:
    area=LOW:HIGH, aspect=MAX, group_of, depiction, inside, truncated, occluded, allow=LABEL+LABEL, deny=LABEL+LABEL."""
    deny: str = ""
    """CSV of boxes that no draw may take, as `dashboards/browse.py --tagged` writes it: image_id, box_id (empty: all
    boxes of the photo), label, XMin, YMin, XMax, YMax. It is the last filter; the reason is `denied`."""
    boxes_frame: Literal["stored", "exif"] = "stored"
    """Where no Rotation is given: boxes were drawn on the stored pixels (`stored`: EXIF turns photo and boxes) or on
    the upright photo (`exif`: EXIF turns the photo only)."""
    long_boxes: Literal["squash", "drop"] = "squash"
    """A box longer than the square crop: squash the photo to a square, as the paper does, or drop the draw."""
    min_box_px: int = 8
    """Boxes with a shorter side, in px of the photo, are dropped."""
    min_photo_px: int = 32
    """Photos with a shorter side, in px, are dropped."""
    max_photo_megapixels: float = 180.0
    """Photos with more pixels are dropped before they are decoded."""
    keep_source: bool = False
    """Keep each sample's source as JPEG in its shard."""
    colour_jitter: float = 0.0
    """Share of the draws, 0..1, of which source and exemplar together get another hue, a little more or less saturation
    and brightness, perhaps flip, and show a smaller crop: diversity where photos are few."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the encoders run."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """The encoders' precision; latents are stored in float16 all the same."""
    encode_batch: int = 8
    """Samples encoded at once; part of the recipe, since it may change last bits."""
    encoders: int = 0
    """Encoder actors. 0: one a GPU, else one for every --cpus-per-gpu CPUs."""
    cpus_per_gpu: int = 1
    """Threads that decode and draw for one encoder."""
    seed: int = 0
    """The seed of every random choice."""
    limit: int = 0
    """Take only that many photos, in plan order (a seeded permutation). 0: all."""
    max_photo_failures: float = 0.05
    """Stop when more than this share of the photos fails, judged after 200 photos and at the end."""
    max_malformed: float = 0.05
    """Refuse box tables of whose rows more than this share is malformed, judged when all are read."""
    retry_drops: bool = False
    """Read all photos that were lost (missing, cut short ...) again, and make the units of those that can be used now
    anew, all draws together. A unit of which another photo is gone or has changed stays as it is, and is named."""
    anonymous: bool = False
    """Read tables and photos in public buckets without credentials. The output always uses yours."""
    overwrite: bool = False
    """Start anew where --out holds the work of another recipe, instead of refusing. Work of this recipe goes on."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        at_least_one = {
            "--draws": self.draws,
            "--resolution": self.resolution,
            "--photos-per-unit": self.photos_per_unit,
            "--encode-batch": self.encode_batch,
            "--cpus-per-gpu": self.cpus_per_gpu,
        }
        for flag, value in at_least_one.items():
            if value < 1:
                raise InputError(f"{flag} {value}: give a whole number from 1")
        for flag, value in {"--encoders": self.encoders, "--limit": self.limit}.items():
            if value < 0:
                raise InputError(f"{flag} {value}: give 0 or more")
        if not (min(self.split_shares) >= 0 and abs(sum(self.split_shares) - 1) <= 1e-6):  # as NaN is not
            raise InputError(f"--split-shares {self.split_shares}: give three shares from 0 that add up to 1")
        shares = {
            "--max-photo-failures": self.max_photo_failures,
            "--max-malformed": self.max_malformed,
            "--colour-jitter": self.colour_jitter,
        }
        for flag, share in shares.items():
            if not 0 <= share <= 1:
                raise InputError(f"{flag} {share}: give a share from 0 to 1")
        if not 0 < self.max_photo_megapixels < math.inf:
            raise InputError(f"--max-photo-megapixels {self.max_photo_megapixels}: give a number above 0")
        if not self.boxes:
            raise InputError("--boxes: give at least one table")


# A small recipe twice: with encoders that have learned nothing, and in the size of the shipped model, with its own.
SMOKE = ShardConfig(keep_source=True)
TINY = replace(SMOKE, resolution=64, vae=SHIPPED, clip=SHIPPED)

PAPER = ShardConfig(
    boxes=("https://storage.googleapis.com/openimages/v6/oidv6-train-annotations-bbox.csv",),
    images=("s3://open-images-dataset/train",),
    image_info=("https://storage.googleapis.com/openimages/2018_04/train/train-images-boxable-with-rotation.csv",),
    classes="https://storage.googleapis.com/openimages/v7/oidv7-class-descriptions-boxable.csv",
    resolution=512,
    draws=10,
    photos_per_unit=1000,
    split_shares=(0.98, 0.01, 0.01),
    vae="CompVis/stable-diffusion-v1-4:vae",
    clip="openai/clip-vit-large-patch14",
    dtype="float32",
    encode_batch=16,
    cpus_per_gpu=8,
    anonymous=True,
)

PRESETS = {"tiny": TINY, "smoke": SMOKE, "paper": PAPER}
