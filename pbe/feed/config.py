"""Config: the settings of a feed, and their values."""

from dataclasses import dataclass
from typing import Literal

ExemplarMode = Literal["cached", "live", "plain"]
MaskMode = Literal["drawn", "box"]
OnBadSample = Literal["stop", "skip"]


@dataclass(frozen=True)
class FeedConfig:
    """Settings of a feed."""

    data: str
    """The dataset: a folder or any fsspec URL."""
    split: str = "train"
    """The split to read."""
    draws: int = 0
    """Read the first draws alone, which are the same whatever was added since. 0: all."""
    seed: int = 0
    """Decides order, noise, timesteps, guidance drops and live augmentation."""
    batch_size: int = 2
    """Samples of a global batch, over all ranks and micro-batches."""
    lanes: int = 2
    """Equal parts of an epoch that are read side by side. Must divide the batch size; world sizes must divide it."""
    block: int = 64
    """Consecutive samples of a lane that are shuffled among themselves and, on object storage, fetched at once."""
    drop_share: float = 0.2
    """Share of the samples trained without their exemplar, for guidance."""
    exemplar: ExemplarMode = "cached"
    """`cached`: the stored vector. `live`: the stored picture, augmented anew, for an encoder that runs in training.
    `plain`: the picture as it is stored."""
    masks: MaskMode = "drawn"
    """`drawn`: the stored polygon. `box`: the box as a rectangle. The stored masked latents belong to the drawn masks,
    so that `box` needs sources in the shards (--keep-source) and `Batch.masked_sources` has to be encoded instead."""
    bad_samples: OnBadSample = "stop"
    """A missing or damaged sample stops the feed (`stop`), or counts for nothing, with weight 0 (`skip`)."""
    check_hashes: bool = False
    """Compare each sample's bytes with the sha256 in the index."""
    workers: int = 2
    """Threads that prepare batches ahead. 0: batches are prepared when they are asked for."""
    cache: str = ""
    """A local folder in which complete shards of a remote dataset are kept. Empty: blocks are fetched and not kept."""
    cache_gb: float = 100.0
    """Size limit of that folder in GB; the least recently used shards are removed first."""
    anonymous: bool = False
    """Read a public bucket without credentials."""
