"""Config: the flags of `python -m pbe.edit`. A field's docstring is its flag's help."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

from pbe.weights.averages import Choice
from pipeline.encoders.names import NONE, SHIPPED, ExemplarEncoderName
from pipeline.errors import InputError
from schemas.pairs import Repaint

MAX_SCALES = 20
MAX_RESOLUTION = 4096


@dataclass(frozen=True)
class EditConfig:
    """Edit pictures by example: repaint the masked part of a source so that it shows the exemplar's object."""

    out: str
    """A picture (.png, .jpg, .webp) or a folder to write. Several pictures go beside a labelled figure of that name (in
    a folder: pictures.png). With --cases: a folder."""
    model: str = SHIPPED
    """What to edit with: a folder (diffusers' Paint by Example, a training's OUT or OUT/model), an original .ckpt, a
    hub id such as Fantasy-Studio/Paint-by-Example, or `shipped`, the small model of this package."""
    source: str = ""
    """The picture to edit, of any size."""
    mask: str = ""
    """A picture of any mode, white where the source is to be repainted (--repaint: what else); of the source's size or
    aspect ratio."""
    repaint: Repaint = "white"
    """What of a mask is repainted. white, black: by brightness, cut at half. nonzero: all that is not black, as in
    label pictures. opaque, transparent: by transparency."""
    box: str = ""
    """Instead of --mask: x0,y0,x1,y1 in px of the source, x1 and y1 exclusive."""
    exemplar: str = ""
    """The picture of the object to show."""
    cases: str = ""
    """Instead of these: a CSV with the columns source, exemplar, and mask or box (empty where the other is given), and
    optionally name, guidance, seed. Paths are relative to it. Run again, it skips finished cases."""
    guidance: str = "5"
    """Guidance scale, or several separated by commas, such as 1,2,3,5,7,10, for a labelled figure."""
    steps: int = 50
    """Denoising steps."""
    seed: int = 0
    """Seed of the first picture; the following pictures take the following seeds."""
    scheduler: Literal["pndm", "ddim", "dpmpp"] = "pndm"
    """pndm: the paper's (PLMS); dpmpp: DPM-Solver++ 2M, made for fewer steps, such as 20."""
    n: int = 1
    """Pictures for every guidance scale."""
    batch: int = 8
    """Pictures made at once; neighbouring cases share a batch. Another number may change last bits. With --compat: all
    pictures of a case, as diffusers does."""
    paste_back: bool = False
    """Keep every pixel outside the mask, bit for bit: --blend paste."""
    blend: Literal["auto", "hole", "crop", "paste"] = "auto"
    """How the edited crop returns. hole: the repainted part, fading out around it; crop: the complete crop as decoded;
    paste: the repainted part, fading out inside the mask. auto: hole; with --compat crop."""
    compat: bool = False
    """Prepare and sample as diffusers' pipeline does: with the same seed, the same latents."""
    context: Literal["auto", "whole"] = "auto"
    """How much of the source the model sees. auto: a square around the hole, in which the hole is about as large as in
    training; whole: the largest square that the source has."""
    resolution: int = 0
    """Side of the square picture that the model works on, in px. 0: the model's own."""
    vae: str = ""
    """A VAE in place of the model's: a folder, hub id or .ckpt."""
    clip: ExemplarEncoderName = ""
    """An exemplar encoder in place of the model's: a CLIP vision tower, or what pipeline.fit_encoders makes."""
    weights: Choice = "auto"
    """Where the raw weights and their moving average lie side by side: `raw` or `ema`. `auto`: those under the plain
    names, which are the raw ones in a checkpoint and beside unet_ema, and the average in a training's folder."""
    device: str = ""
    """cpu, cuda, cuda:1 ... Empty: cuda where there is one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Precision. auto: float16 on a GPU, else float32."""
    overwrite: bool = False
    """With --cases: make again what was made with other settings."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        if not 1 <= self.batch <= 1000:
            raise InputError(f"--batch {self.batch}: give a number from 1 to 1000")
        for scale in parse_scales(self.guidance):
            refuse_bad_numbers(guidance=scale, steps=self.steps, n=self.n, seed=self.seed)
        if not 0 <= self.resolution <= MAX_RESOLUTION:
            raise InputError(f"--resolution {self.resolution}: give px up to {MAX_RESOLUTION}; 0 is the model's own")
        for flag, name in (("--vae", self.vae), ("--exemplar-encoder", self.clip)):
            if name == NONE:
                raise InputError(f"{flag} {NONE}: editing needs both encoders; leave {flag} out, or name another one")
        if self.box and self.repaint != "white":
            raise InputError(f"--repaint {self.repaint} and --box: a box is repainted whole; give one of them")
        if not self.out:
            raise InputError("--out: is empty; give a picture's name or a folder")
        self.how  # noqa: B018 - refuses flags that contradict each other

    @property
    def how(self) -> Literal["hole", "crop", "paste"]:
        """The blend that the flags mean.

        Raises:
            InputError: they contradict each other.
        """
        if self.paste_back and self.blend not in ("auto", "paste"):
            raise InputError(f"--paste-back and --blend {self.blend}: give one of them")
        if self.paste_back:
            return "paste"
        if self.blend == "auto":
            return "crop" if self.compat else "hole"
        return self.blend


def parse_scales(text: str) -> tuple[float, ...]:
    """Read `5` or `1,2,3,5,7,10`.

    Raises:
        InputError: it is not a list of numbers, or names a scale twice.
    """
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--guidance {text}: give a number, or several separated by commas") from error
    if len({f"{scale:g}" for scale in scales}) < len(scales) or len(scales) > MAX_SCALES:  # as files are named
        raise InputError(f"--guidance {text}: give each scale once, at most {MAX_SCALES}")
    return scales


def refuse_resolution(resolution: int, *, factor: int, levels: int) -> None:
    """Refuse a side that the model cannot halve as often as it needs to.

    Args:
        resolution: px; 0: the model's own.
        factor: px along a latent cell's side.
        levels: of the UNet.

    Raises:
        InputError: naming what divides it.
    """
    unit = factor * 2 ** (levels - 1)
    if resolution % unit or resolution < 0:
        raise InputError(f"--resolution {resolution}: give a multiple of {unit}; 0 is the model's own")


def refuse_bad_numbers(*, guidance: float, steps: int, n: int, seed: int) -> None:
    """Refuse numbers of another kind or out of range.

    Raises:
        InputError: naming the flag, the value and what is allowed.
    """
    for flag, value, kind, least, most in (
        ("--guidance", guidance, Real, 1, 1000),
        ("--steps", steps, Integral, 1, 500),  # beyond, some schedulers leave their own table
        ("--n", n, Integral, 1, 1000),
        ("--seed", seed, Integral, 0, 2**32 - 1000),  # torch's generator takes 32 bits
    ):
        if not isinstance(value, kind) or not least <= value <= most:
            needed = "a whole number" if kind is Integral else "a number"
            raise InputError(f"{flag} {value}: give {needed} from {least} to {most}")
