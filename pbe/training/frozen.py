"""Frozen encoders: a dataset's manifest -> its codec and exemplar encoder, for live encoding and for the export.

Live exemplars go through a copy of the tower in the training's precision, which adds 7.0 % to a step's arithmetic at
SD v1 size. The tower itself stays as the dataset was encoded with it, to the bit: its fingerprint is compared, grids
are scored with it, and it is exported. The VAE, which --no-augmentation runs live, keeps the dataset's precision, in
which the stored latents beside its own were made.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from pbe.batch import Batch
from pbe.model.conditioner import mapper_blocks
from pbe.training.config import TrainConfig, encoder_name
from pipeline.encoders.loading import exemplar_encoder_of, load_codec, load_exemplar_encoder
from pipeline.encoders.names import NONE, SHIPPED
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.errors import InputError

CHANGED = (
    "another version of this package shipped those: make the dataset again with this one, or give the folder "
    "pbe/small_model of that one"
)
TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class FrozenEncoders:
    """The encoders, which are not trained.

    Args:
        vae, clip: as the dataset was encoded with them; None: left out.
        all_tokens: every token of an exemplar instead of its pooled vector.
        live_tower: the exemplar encoder's module that exemplars go through; None: they are not encoded live.
    """

    vae: Codec | None
    clip: ExemplarEncoder | None
    all_tokens: bool
    live_tower: Any = None

    @property
    def mapper_blocks(self) -> int:
        """Return the number of mapper blocks in diffusers' layout; 0 without an exemplar encoder."""
        return mapper_blocks(self.clip.layers) if self.clip else 0

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprints of those that are loaded."""
        return {name: part.fingerprint for name, part in (("vae", self.vae), ("clip", self.clip)) if part}

    @torch.no_grad()
    def encode(self, batch: Batch) -> Batch:
        """Turn pictures of exemplars into features, and masked sources into masked latents, where the batch has them.

        Args:
            batch: a micro-batch, whose exemplars are encoded at once.
        """
        if batch.exemplars.ndim == 4 and self.live_tower is not None:
            encoder = exemplar_encoder_of(self.live_tower)
            encode = encoder.tokens if self.all_tokens else encoder.pooled
            batch = replace(batch, exemplars=encode(batch.exemplars).float())
        if batch.masked_sources is not None and self.vae:
            latents = torch.from_numpy(self.vae.encode(batch.masked_sources)).float()
            batch = replace(batch, masked_latents=latents.to(batch.latents.device), masked_sources=None)
        return batch


def load_frozen(config: TrainConfig, manifest: Mapping[str, Any], *, device: str) -> FrozenEncoders:
    """Load the encoders that a dataset was made with.

    Raises:
        InputError: they are not named, cannot be loaded, or are not the dataset's.
    """
    names, recipe = manifest.get("encoders", {}), manifest["recipe"]
    vae_name = encoder_name("--vae", config.vae, names.get("vae", ""))
    clip_name = encoder_name("--exemplar-encoder", config.clip, names.get("clip", ""))
    dtype = recipe.get("dtype", "float32")
    vae = None if vae_name == NONE else load_codec(vae_name, device=device, dtype=dtype)
    clip = None if clip_name == NONE else load_exemplar_encoder(clip_name, device=device, dtype=dtype)
    for flag, encoder, used in (("--vae", vae, recipe["vae"]), ("--exemplar-encoder", clip, recipe["clip"])):
        if encoder and encoder.fingerprint != used.get("fingerprint"):
            remedy = CHANGED if encoder.name == SHIPPED else "give the encoder that made it"
            raise InputError(
                f"{flag} {encoder.name}: its weights are not those that {config.data} was encoded with; {remedy}"
            )
    live_tower = None
    if clip and config.exemplar_mode != "cached":
        live_tower = in_precision(clip.model, TORCH_DTYPES[config.dtype])
    return FrozenEncoders(vae, clip, all_tokens=not config.bottleneck, live_tower=live_tower)


def in_precision(tower: Any, dtype: torch.dtype) -> Any:
    """Copy a frozen tower into a precision, on its device; itself where it has that already."""
    return tower if tower.dtype == dtype else copy.deepcopy(tower).to(dtype)
