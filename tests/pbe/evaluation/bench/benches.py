"""Small benches on disk."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 24


def picture(seed: int, width: int = SIDE, height: int = SIDE) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def box_mask(left: int, top: int, right: int, bottom: int, width: int = SIDE, height: int = SIDE) -> Any:
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def save(path: Path, pixels: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_cocoee(root: Path, ids: Sequence[int], *, listed: Iterable[int] | None = None, number: str = "_3500") -> Path:
    """Write a folder in COCOEE's layout; `listed`: what the list of ids holds, None: there is none."""
    for seed, case in enumerate(ids):
        save(root / f"GT{number}/{case:012d}_GT.png", picture(seed))
        save(root / f"Ref{number}/{case:012d}_ref.png", picture(seed + 1000, 10, 14))
        save(root / f"Mask_bbox{number}/{case:012d}_mask.png", box_mask(4, 6, 16, 18))
    if listed is not None:
        np.save(root / "id_list.npy", np.array(list(listed), np.int64))
    return root


def write_table(folder: Path, rows: Sequence[str], header: str = "name,source,mask,exemplar") -> Path:
    """Write cases.csv beside a source, a mask and an exemplar."""
    save(folder / "source.png", picture(0))
    save(folder / "mask.png", box_mask(4, 6, 16, 18))
    save(folder / "exemplar.png", picture(1, 10, 14))
    table = folder / "cases.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    return table


def write_instances(path: Path, instances: Sequence[dict[str, Any]], photos: dict[int, tuple[int, int]]) -> Path:
    """Write instances as COCO does: `id`, `image_id`, `category_id` (1 cat, 2 dog), `bbox` x y w h in px."""
    content = {
        "images": [{"id": photo, "width": width, "height": height} for photo, (width, height) in photos.items()],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"iscrowd": 0, **instance} for instance in instances],
    }
    path.write_text(json.dumps(content))
    return path
