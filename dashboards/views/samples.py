"""Sample rows: chosen samples -> documents: four pictures a sample, its labels on the source, its fields on all."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from dashboards.app.documents import Row, write_samples
from dashboards.app.named import open_named
from dashboards.quality import QUALITY
from dashboards.views.sample_media import MASKS, SLICES
from dashboards.views.saved_views import set_up_samples
from pipeline.draws.exemplars import describe_augmentation
from pipeline.draws.jitter import Jitter, describe_jitter, jitter_of
from pipeline.draws.rings import split_rings
from schemas.samples import EXEMPLAR_PX, INDEX

LABELS = {
    "metadata": "ImageMetadata",
    "box": "Detections",
    "mask_outline": "Polylines",
    "mask": "Segmentation",
    "latent_mask": "Heatmap",
}
RENAMED = {"box": "box_in_photo"}  # columns whose name a label bears
PLAIN = [
    field.name
    for field in (*INDEX, *QUALITY)
    if field.name not in ("mask_polygon", "members", "augmentation") and field.name not in RENAMED
]

Place = Callable[[str, str], str]  # kind and key -> where the picture lies


def build_samples(
    name: str, rows: pa.Table, *, resolution: int, place: Place, more: Mapping[str, Mapping[str, Any]] = {}
) -> Any:
    """Write samples into the FiftyOne dataset of that name, anew, with saved views; tags stay.

    Args:
        rows: INDEX and QUALITY.
        resolution: of the sources, in px.
        place: names a picture, see `media_name`.
        more: further fields by key.

    Returns:
        The `fiftyone.Dataset`.
    """
    dataset = open_named(name, default_slice=SLICES[0])
    write_samples(dataset, sample_rows(rows, resolution=resolution, place=place, more=more), labels=LABELS)
    set_up_samples(dataset)
    return dataset


def sample_rows(
    rows: pa.Table, *, resolution: int, place: Place, more: Mapping[str, Mapping[str, Any]] = {}
) -> Iterator[Row]:
    """Describe samples, see `build_samples`."""
    for batch in rows.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            fields = {**_fields(row), **{name: _plain(value) for name, value in more.get(row["key"], {}).items()}}
            yield Row(row["key"], dict(_slices(row, fields, resolution, place)))


def _slices(
    row: Mapping[str, Any], fields: Mapping[str, Any], resolution: int, place: Place
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in SLICES:
        side = resolution if name in ("source", "masked") else EXEMPLAR_PX
        labels = _labels(row, place) if name == "source" else {}
        metadata = {"width": side, "height": side, "mime_type": "image/jpeg", "num_channels": 3}
        yield name, {"filepath": place(name, row["key"]), "metadata": metadata, **fields, **labels}


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of a sample; a number that is not finite is left out, since the App knows none."""
    fields = {name: _plain(row[name]) for name in PLAIN}
    fields |= {name: _plain(row[column]) for column, name in RENAMED.items()}
    augmentation = row["augmentation"]
    moved = augmentation["affine_px"]
    return {
        **fields,
        "augmentation": describe_augmentation(augmentation),
        "flip": augmentation["flip"],
        "rotate_degrees": augmentation["rotate_degrees"],
        "blur_px": augmentation["blur_px"],
        "affine_px": float(np.abs(moved).mean()) if moved else None,
        **_jitter_fields(jitter_of(row)),
    }


def _jitter_fields(jitter: Jitter | None) -> dict[str, Any]:
    """Say in words and in numbers how a sample is jittered; nothing where it is not."""
    if jitter is None:
        return {}
    return {"jitter": describe_jitter(jitter), **{f"jitter_{name}": value for name, value in jitter.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _labels(row: Mapping[str, Any], place: Place) -> dict[str, Any]:
    x0, y0, x1, y1 = np.clip(np.array(row["box_in_crop"], float), 0, 1).tolist()
    polygon = np.array(row["mask_polygon"], np.float32).reshape(-1, 2)
    outlines = [ring.astype(float).tolist() for ring in split_rings(polygon)]
    mask, latent = (place(kind, row["key"]) for kind in MASKS)
    box = {"label": row["label_name"], "bounding_box": [x0, y0, x1 - x0, y1 - y0]}
    return {
        "box": [box] if x1 > x0 and y1 > y0 else [],
        "mask_outline": [{"label": row["mask_shape"], "points": outlines, "closed": True, "filled": False}],
        "mask": {"mask_path": mask},
        "latent_mask": {"map_path": latent, "range": [0.0, 1.0]},
    }
