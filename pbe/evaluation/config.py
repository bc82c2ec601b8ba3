"""Config: the flags of `python -m pbe.evaluate`. A field's docstring is its flag's help."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from pbe.editing.config import parse_scales, refuse_bad_numbers
from pipeline.errors import InputError

MAX_BATCH = 1000


@dataclass(frozen=True)
class EvaluateConfig:
    """Compare methods that edit by example: pictures, scores, and a report with tables and figures."""

    methods: Annotated[tuple[str, ...], tyro.conf.Positional]
    """What to compare: pbe=DIR, naive=DIR, sd-inpaint=DIR, blended-text=ADM,CLIP, blended-image=ADM,CLIP,
    lama-paste-harmonize=LAMA[,DCCF], copy-paste, identity, ground-truth, random-exemplar=DIR, pictures=NAME:DIR, or
    module:object of your own."""
    out: str
    """A folder or fsspec URL for pictures, scores and report. Run again, the command goes on."""
    bench: str = ""
    """The cases: a folder in COCOEE's form, or a cases.csv as `pbe.edit` takes it."""
    bench_from: str = ""
    """Instead of --bench: a dataset of this project to cut cases from."""
    split: Literal["validation", "test", "train"] = "validation"
    """Of --bench-from."""
    exemplar: Literal["other", "own"] = "other"
    """Of --bench-from. other: an object of the same class from another photo; own: its own (reconstruction)."""
    images: tuple[str, ...] = ()
    """Where the photos of --bench-from lie, if its samples keep no source: a folder, tar or pattern."""
    annotations: str = ""
    """COCO's instances_val2017.json: labels for a bench in COCOEE's form, which has none."""
    limit: int = 0
    """Cases to take, a seeded choice; 0: all."""
    guidance: str = "5"
    """Guidance scale, or several separated by commas, such as 1,3,5,7; each becomes a row."""
    features: tuple[str, ...] = ()
    """Encoders: clip=DIR (ViT-B/32 gives FID, QS and CLIP score), dino=DIR, efficientnet-lite0, efficientnet-lite2. The
    first is that of the Fréchet distance and of --mixture; each gives an exemplar similarity."""
    real: str = ""
    """What results are held against: a folder of real pictures (the paper's: COCO test2017), or statistics of one
    (.npz). Without it there is no Fréchet distance."""
    mixture: str = ""
    """A Gaussian mixture of real features (.npz, by `python -m pbe.evaluate mixture`). Without it there is no QS."""
    overlap: str = ""
    """The folder that `python -m pbe.leaks` wrote: what of the bench was seen in training."""
    steps: int = 50
    """Denoising steps."""
    scheduler: Literal["pndm", "ddim", "dpmpp"] = "pndm"
    """Of our own models."""
    seed: int = 0
    """Of the choice of cases, and of cases without a seed of their own."""
    batch: int = 8
    """Cases given to a method at once, and the unit of work that is done or not. Part of what is recorded."""
    device: str = ""
    """cpu, cuda, cuda:1 ... Empty: cuda where there is one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Precision. auto: float16 on a GPU, else float32."""
    cpus: int = 1
    """On a cluster: CPU cores of each worker."""
    retry_failed: bool = False
    """Edit again the cases that failed."""
    overwrite: bool = False
    """Make again what was made otherwise."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        if not self.methods:
            raise InputError("METHOD: is missing; give one or more, such as pbe=runs/demo/train copy-paste identity")
        if bool(self.bench) == bool(self.bench_from):
            raise InputError("--bench, --bench-from: give one of the two")
        if not self.out:
            raise InputError("--out: is empty; give a folder")
        if not self.bench_from:
            given = {
                "--split": self.split != "validation",
                "--exemplar": self.exemplar != "other",
                "--images": self.images,
            }
            for flag in (flag for flag, is_given in given.items() if is_given):
                raise InputError(f"{flag}: belongs to --bench-from; leave it out")
        if self.limit < 0:
            raise InputError(f"--limit {self.limit}: give a number of cases; 0 takes all")
        if not 1 <= self.batch <= MAX_BATCH:
            raise InputError(f"--batch {self.batch}: give a number from 1 to {MAX_BATCH}")
        for scale in self.scales:
            refuse_bad_numbers(guidance=scale, steps=self.steps, n=1, seed=self.seed)

    @property
    def scales(self) -> tuple[float, ...]:
        """The guidance scales, in their order."""
        return parse_scales(self.guidance)


@dataclass(frozen=True)
class MixtureConfig:
    """Fit the Gaussian mixture that a quality score (QS, GIQA) is measured by, on features of real pictures."""

    real: str
    """The real pictures: a folder, or their features (.npz)."""
    features: str
    """The encoder: clip=DIR (ViT-B/32, as in the paper), dino=DIR, efficientnet-lite0 or efficientnet-lite2."""
    out: str
    """The mixture to write, .npz."""
    components: int = 20
    """Gaussians in it."""
    seed: int = 0
    """Of the fit's start."""
    device: str = ""
    """cpu, cuda, cuda:1 ... Empty: cuda where there is one."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            InputError: naming the flag and the value.
        """
        if self.components < 1:
            raise InputError(f"--components {self.components}: give a number of Gaussians from 1 on")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: give a number from 0 on")
