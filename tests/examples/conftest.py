"""Folders of COCO's form, with photos of noise."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax"


@pytest.fixture
def coco(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder with a photo of each licence, and two boxes in each."""

    def write(name: str, licences: Mapping[str, str]) -> Path:
        folder = tmp_path / name
        (folder / "train").mkdir(parents=True)
        for number, key in enumerate(licences):
            noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            cv2.imwrite(str(folder / f"train/{key}.jpg"), noise)
        lines = [f"{key},{licence}" for key, licence in licences.items()]
        (folder / "sources.csv").write_text("\n".join(["ImageID,CocoLicenseId", *lines]) + "\n")
        boxes = [f"{key},xclick,/m/01,1,0,{share},0,1" for key in licences for share in (0.25, 0.5)]
        (folder / "train-annotations-bbox.csv").write_text("\n".join([HEADER, *boxes]) + "\n")
        (folder / "class-descriptions-boxable.csv").write_text("/m/01,Cat\n")
        return folder

    return write
