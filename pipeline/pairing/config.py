"""Pair config: the flags of `pipeline.pairs` -> a shard job's config. Each field's docstring is its flag's help."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from pipeline.config import ShardConfig
from pipeline.encoders.names import SHIPPED, UNTRAINED, ExemplarEncoderName, refuse_missing
from pipeline.errors import InputError
from pipeline.hints import command_line
from pipeline.pairing.fine_tuning import model_folder, own_resolution
from pipeline.pairing.folder import FOLDERS
from pipeline.storage.urls import absolute, absolute_output, is_local
from schemas.pairs import Repaint


@dataclass(frozen=True)
class PairConfig:
    """Turn photos with masks of your own, and exemplars where you have them, into shards to fine-tune on.

    A folder holds images/, masks/ and perhaps exemplars/, in which files of one name belong together (images/cat.jpg,
    masks/cat.png, exemplars/cat.jpg), or a pairs.csv with the columns image,mask[,exemplar][,label]. Masks are made on
    the upright photo: white = repaint, black or transparent = keep; any size of the photo's shape. Without an exemplar
    the photo's own part around the mask is taken.
    """

    pairs: str = ""
    """The folder, or any fsspec URL of one."""
    out: str = ""
    """Where the dataset goes: a folder or any fsspec URL."""
    model: str = ""
    """The model that will be fine-tuned, from which both encoders are taken: a diffusers folder or hub id, the
    folder of a training, or `shipped`, the small model of this package. `untrained`: small encoders that have learned
    nothing, to try the command."""
    vae: str = ""
    """Another codec: a diffusers AutoencoderKL or AutoencoderTiny folder or hub id (`id:subfolder`), or what
    pipeline.fit_encoders makes."""
    clip: ExemplarEncoderName = ""
    """Another exemplar encoder: a transformers CLIP vision tower, folder or hub id, or what pipeline.fit_encoders
    makes."""
    resolution: int = 0
    """Side of the square source in px; a multiple of the VAE's factor. 0: the model's own, or 512."""
    draws: int = 4
    """Draws a photo, in all: each has another crop around the mask and another augmentation of the exemplar. Raising it
    later adds shards and changes none."""
    repaint: Repaint = "white"
    """What of the masks is repainted. white, black: by brightness, cut at half. nonzero: all that is not black, as in
    label pictures. opaque, transparent: by transparency."""
    split_shares: tuple[float, float, float] = (0.98, 0.01, 0.01)
    """Shares of the photos that go to train, validation and test, by hash of the photo's name."""
    photos_per_unit: int = 16
    """Photos whose samples go to one shard a draw; what is encoded at a time and, once encoded, kept."""
    keep_source: bool = False
    """Keep each sample's source as JPEG in its shard, for pictures that show it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the encoders run."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """The encoders' precision; latents are stored in float16 all the same."""
    encode_batch: int = 4
    """Samples encoded at once; part of the recipe, since it may change last bits."""
    workers: int = 0
    """Units made at a time; on a GPU, threads that draw for it. 0: one a CPU, but at most four."""
    max_drops: float = 0.5
    """End with exit code 1 where more than this share of the pairs gave no sample; the dataset is written."""
    seed: int = 0
    """The seed of every random choice."""
    overwrite: bool = False
    """Start anew where --out holds the work of another recipe, instead of refusing. Work of this recipe goes on."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        for flag, value in {"--pairs": self.pairs, "--out": self.out}.items():
            if not value:
                raise InputError(f"{flag}: give a folder; --help describes its form")
        if not self.model and not (self.vae and self.clip):
            raise InputError(
                "--model: give the model that will be fine-tuned, whose encoders must encode its data; or "
                f"--vae and --exemplar-encoder; or `--model {SHIPPED}`, the small one of this package"
            )
        if is_local(self.pairs) and is_local(place := absolute_output("--out", self.out)):
            pairs, out = Path(absolute(self.pairs)).resolve(), Path(place).resolve()
            if any(out.is_relative_to(taken) for taken in (pairs / name for name in FOLDERS)) or out == pairs:
                raise InputError(f"--out {self.out}: is where the pairs are; give another folder")
        if self.workers < 0:
            raise InputError(f"--workers {self.workers}: give 0 or more")
        if not 0 <= self.max_drops <= 1:
            raise InputError(f"--max-drops {self.max_drops}: give a share from 0 to 1")

    def shard_config(self, *, table: str) -> ShardConfig:
        """Make the config of the shard job.

        Args:
            table: PAIRS as a Parquet file.

        Raises:
            InputError: a value is not allowed, or the model is not a folder.
        """
        # A flag that both jobs have means the same in both.
        shared = {field.name: getattr(self, field.name) for field in fields(ShardConfig) if hasattr(self, field.name)}
        vae = self.vae or _part_of(self.model, "vae")
        of_the_model = own_resolution(self.model, vae)
        own = {
            "boxes": (table,),
            "images": (self.pairs,),
            "vae": vae,
            "clip": self.clip or _part_of(self.model, "image_encoder"),
            "resolution": self.resolution or of_the_model,
            "filters": (),
            "boxes_frame": "exif",
            "max_photo_failures": 1.0,
            "max_malformed": 1.0,
        }
        return ShardConfig(**{**shared, **own})


def _part_of(model: str, part: str) -> str:
    """Name a part of a model as `load_vae` and `load_clip` take it."""
    path = Path(model)
    if not model or model == UNTRAINED:
        return model
    if model != SHIPPED and path.is_file():
        convert = command_line("python", "-m", "pbe.convert", model=model, out=f"{path.with_suffix('')}-folder")
        raise InputError(
            f"--model {model}: is a file; give the folder that `{convert}` makes, or --vae and --exemplar-encoder"
        )
    refuse_missing(
        f"--model {model}", model, "give the folder of a model, or name its parts with --vae and --exemplar-encoder"
    )
    if model == SHIPPED:
        return model
    if not path.exists():
        return f"{model}:{part}"
    export = model_folder(path)
    if not (export / part / "config.json").exists():
        flag = "--vae" if part == "vae" else "--exemplar-encoder"
        raise InputError(f"--model {model}: has no {part}/; give a complete model, or name it with {flag}")
    return str(export.absolute())
