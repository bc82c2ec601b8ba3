"""Config: the flags of `python -m pbe.leaks`. A field's docstring is its flag's help."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from pipeline.errors import InputError
from pipeline.storage.urls import absolute_output, is_local
from pipeline.storage.writable import refuse_unwritable


@dataclass(frozen=True)
class LeaksConfig:
    """Find the photos of a training dataset that are also in a bench, or in another dataset: cropped, flipped, turned
    or recompressed as they may be. Run the same command again to go on."""

    dataset: Annotated[str, tyro.conf.Positional] = ""
    """The dataset of the training; of --photos only those that it holds samples of count. Without it: all of them."""
    photos: tuple[str, ...] = ()
    """Where the training's photos are, as the shard job's --images: folders, or tar files (quoted glob). With
    --against, where the other dataset's are, too."""
    bench: str = ""
    """The bench: a folder like COCOEE's (the pictures in GT_3500), the CSV of a table of cases (sources and ground
    truths), or any folder or tar files of photos."""
    against: str = ""
    """Instead of --bench: another dataset."""
    image_info: tuple[str, ...] = ()
    """Tables with the Flickr addresses of the training's photos: Open Images' image-info CSV, or COCO's JSON."""
    bench_info: tuple[str, ...] = ()
    """The same of the bench's, or the other dataset's, such as COCO's instances_val2017.json."""
    out: str = ""
    """The folder to write: overlap.parquet, overlap.json, overlap.jpg, and blocks that let it go on after a stop."""
    workers: int = os.cpu_count() or 1
    """Photos that are decoded and compared at once."""
    anonymous: bool = False
    """Read tables and photos in public buckets without credentials."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; no photo is looked at.

        Raises:
            InputError: naming the flag, the value and what to give.
        """
        if bool(self.bench) == bool(self.against):
            raise InputError("--bench and --against: give one of them, the bench or the other dataset")
        if not self.photos:
            raise InputError(
                "--photos: give the folder, or tar files, that hold the photos; a dataset's samples do not"
            )
        if not self.out:
            raise InputError("--out: give a folder to write to")
        if self.workers < 1:
            raise InputError(f"--workers {self.workers}: give at least 1")
        if self.dataset and self.dataset == self.against:
            raise InputError(f"--against {self.against}: is the dataset itself; give another one")
        out = absolute_output("--out", self.out)
        if not is_local(out):
            raise InputError(f"--out {self.out}: give a folder on a local disk")
        for flag, url in self._places():
            _refuse_missing(flag, url)
            if flag in ("--photos", "--bench") and is_local(url) and _lies_in(Path(out), Path(url).expanduser()):
                raise InputError(
                    f"--out {self.out}: lies in {flag} {url}, whose photo its sheet would become; give another"
                )
        refuse_unwritable(f"--out {self.out}", Path(out))

    def _places(self) -> list[tuple[str, str]]:
        """List what is read, with its flag."""
        several = (("--photos", self.photos), ("--image-info", self.image_info), ("--bench-info", self.bench_info))
        places = [("DATASET", self.dataset), ("--against", self.against), ("--bench", self.bench)]
        places += [(flag, url) for flag, urls in several for url in urls]
        return [(flag, url) for flag, url in places if url]


def _refuse_missing(flag: str, url: str) -> None:
    """Refuse a local path that leads nowhere; patterns and URLs are tried later."""
    if is_local(url) and not any(mark in url for mark in "*?[") and not Path(url).expanduser().exists():
        raise InputError(f"{flag} {url}: no such file or folder; check the path")


def _lies_in(place: Path, folder: Path) -> bool:
    return folder.is_dir() and place.resolve().is_relative_to(folder.resolve())
