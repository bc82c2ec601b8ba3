"""Sample grids: a few fixed samples and a model -> what it paints for them at several guidance scales, as a figure.

The same samples and noise every time, so that grids of different steps can be compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from pbe.batch import Batch
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import Dataset
from pbe.feed.fixed_batches import fixed_batches, fixed_feed
from pbe.model.finite import refuse_not_finite
from pbe.model.paint_by_example import ModelConfig, PaintByExample
from pbe.model.sampler import Conditions, initial_noise, make_scheduler, sample
from pipeline.arrays import Hole, Pixels
from pipeline.draws.crops import Crop
from pipeline.draws.raster import raster_mask
from pipeline.encoders.loading import codec_of
from pipeline.encoders.pixels import byte_pixels
from pipeline.encoders.protocols import ExemplarEncoder
from pipeline.pictures.outlines import outline_mask
from pipeline.pictures.tiles import draw_tiles
from pipeline.shards.samples import read_index, read_sample
from pipeline.tensors.names import Tensors
from schemas.grid_scores import GridScore, guidance_name

GUIDANCE = (1.0, 3.0, 5.0, 7.0)
STEPS = 20  # of DPM-Solver++
SAMPLES = 4


@dataclass(frozen=True)
class GridSamples:
    """What grids show."""

    batch: Batch
    """The samples, on the model's device, exemplars as features."""
    exemplars: list[Pixels]
    """[224, 224, 3] uint8 RGB, as stored."""


@dataclass(frozen=True)
class GridPictures:
    """What a grid shows of each of its samples: pictures are [h, w, 3] uint8 RGB.

    Args:
        keys: of the samples.
        sources: decoded.
        masks: [h, w] bool, True = repainted; may be empty where a hole is smaller than a cell of the latent.
        exemplars: [224, 224, 3], as stored.
        painted: by guidance scale, decoded without blending into the source.
    """

    keys: tuple[str, ...]
    sources: list[Pixels]
    masks: list[Hole]
    exemplars: list[Pixels]
    painted: Mapping[float, list[Pixels]]


PictureScorer = Callable[[GridPictures, ExemplarEncoder | None], Mapping[str, Mapping[str, GridScore]]]
"""Scores pictures as GridScores.scores has it, with the dataset's exemplar encoder where the training holds it."""


def load_grid_samples(
    feed: FeedConfig, prepare: Callable[[Batch], Batch], dataset: Dataset, *, bottleneck: bool
) -> GridSamples:
    """Read the first samples of a split.

    Args:
        feed: of the training.
        prepare: brings a batch to the device and encodes what is live.
        dataset: the split.
    """
    count = min(SAMPLES, sum(dataset.counts[0]))
    fixed = fixed_feed(feed, split=dataset.split, bottleneck=bottleneck, batch_size=count)
    [batch] = fixed_batches(fixed, dataset=dataset, limit=count)
    exemplars: dict[str, Pixels] = {}
    for shard in dataset.shards[0]:
        if exemplars.keys() >= set(batch.keys):
            break
        for row in read_index(dataset.folder, shard.index).to_pylist():
            if row["key"] in batch.keys:
                exemplars[row["key"]] = read_sample(dataset.folder, row).exemplar_pixels
    return GridSamples(prepare(batch), [exemplars[key] for key in batch.keys])


@torch.no_grad()
def write_example(folder: Path, dataset: Dataset, vae: Any) -> list[Path]:
    """Write what an edit takes: source and mask of a dataset's first sample, and the exemplar of another photo.

    Args:
        folder: it may exist.
        vae: the dataset's, which decodes the source where the shards do not keep it.

    Returns:
        The paths of source, mask and exemplar.
    """
    rows = (row for shard in dataset.shards[0] for row in read_index(dataset.folder, shard.index).to_pylist())
    first = next(rows)
    other = next((row for row in rows if row["image_id"] != first["image_id"]), first)
    sample = read_sample(dataset.folder, first)
    source = sample.source
    if source is None:
        [source] = _pixels(vae, torch.from_numpy(sample.latent)[None])
    polygon = np.array(first["mask_polygon"], np.float32).reshape(-1, 2)
    mask = raster_mask(polygon, dataset.resolution) * np.uint8(255)
    pictures = {"source": source, "mask": mask, "exemplar": read_sample(dataset.folder, other).exemplar_pixels}
    folder.mkdir(exist_ok=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in pictures]


@torch.no_grad()
def paint_grid(
    config: ModelConfig, state: Tensors, vae: Any, samples: GridSamples, *, at_once: int, seed: int
) -> GridPictures:
    """Paint the samples at every guidance scale.

    Args:
        state: the complete state dict of a PaintByExample, on the device and in the precision to paint in.
        vae: the dataset's.
        at_once: samples in one batch, which guidance doubles.
        seed: of the noise.

    Raises:
        NotFiniteError: a part of the model gives numbers that are not finite.
    """
    with torch.device("meta"):
        model = PaintByExample(config).eval()
    model.load_state_dict(state, assign=True)
    batch = samples.batch
    sources = _pixels(vae, batch.latents)
    _, channels, height, width = batch.latents.shape
    noise = initial_noise((channels, height, width), [seed + number for number in range(len(sources))])
    batches = -(-len(sources) // at_once)
    with tqdm(total=len(GUIDANCE) * batches * STEPS, desc="sample grid", unit="step", leave=False) as bar:
        painted = {scale: _pixels(vae, _paint(model, batch, noise, scale, at_once, bar)) for scale in GUIDANCE}
    masks = [_mask_pixels(batch, number, source) for number, source in enumerate(sources)]
    return GridPictures(tuple(batch.keys), sources, masks, samples.exemplars, painted)


def draw_grid(pictures: GridPictures, *, note: str) -> Pixels:
    """Draw what was painted beside source and exemplar: [h, w, 3] uint8 RGB."""
    rows = []
    for number, (source, mask) in enumerate(zip(pictures.sources, pictures.masks, strict=True)):
        everything = Crop((0, 0, source.shape[1], source.shape[0]), "crop")
        painted = [column[number] for column in pictures.painted.values()]
        rows.append([outline_mask(source, mask, everything), pictures.exemplars[number], *painted])
    titles = ["source (decoded), mask", "exemplar", *map(guidance_name, pictures.painted)]
    return draw_tiles(rows, titles=titles, labels=[[""] * len(titles)] * len(rows), note=note)


def _paint(
    model: PaintByExample,
    batch: Batch,
    noise: torch.Tensor,
    scale: float,
    at_once: int,
    bar: "tqdm[Any]",
) -> torch.Tensor:
    """Sample latents [b, c, h, w], `at_once` pictures at a time."""
    context = model.conditioner(batch.exemplars)
    refuse_not_finite(context, "conditioner", context.dtype)
    everything = Conditions(context, model.conditioner.unconditional(context), batch.masked_latents, batch.masks)
    painted = []
    for first in range(0, len(noise), at_once):
        part = slice(first, first + at_once)
        scheduler = make_scheduler("dpmpp", steps=STEPS, device=noise.device)
        shown, predicts = everything.take(part), model.config.prediction
        painted.append(
            sample(
                model.unet,
                scheduler,
                noise[part],
                shown,
                guidance=scale,
                prediction=predicts,
                on_step=lambda clean: bar.update(),
            )
        )
    latents = torch.cat(painted)
    refuse_not_finite(latents, "UNet", model.unet.dtype)
    return latents


def _pixels(vae: Any, latents: torch.Tensor) -> list[Pixels]:
    """Decode scaled latents [b, c, h, w], one after the other, which bounds the memory -> b of [H, W, 3] uint8."""
    decoded = torch.cat([codec_of(vae).decode(latent[None]).cpu() for latent in latents])
    refuse_not_finite(decoded, "VAE's decoder", vae.dtype)
    return list(byte_pixels(decoded))


def _mask_pixels(batch: Batch, number: int, source: Pixels) -> Hole:
    """Bring a mask of latent size to the source's pixels: [h, w] bool."""
    enlarged = torch.nn.functional.interpolate(batch.masks[number, None].float(), source.shape[:2], mode="bilinear")
    mask: Hole = (enlarged[0, 0] >= 0.5).cpu().numpy()
    return mask
