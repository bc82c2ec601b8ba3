"""Known encoders: the fingerprints of weights that an earlier run read, kept in the output.

A memo for speed alone: without it, or where a file has changed since, the weights are read again.
"""

import importlib.metadata
import json
from contextlib import suppress

from pipeline.config import ShardConfig
from pipeline.encoders.facts import EncoderFacts, stamp_weights
from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder

KNOWN = "run/encoders.json"
LIBRARIES = ("torch", "diffusers", "transformers", "safetensors")


def stamp_encoders(config: ShardConfig) -> str:
    """Digest all that fingerprints depend on, the weights by their files' paths, sizes and times."""
    vae = stamp_weights("--vae", config.vae, "vae")
    clip = stamp_weights("--exemplar-encoder", config.clip, "image_encoder")
    versions = [importlib.metadata.version(name) for name in LIBRARIES]
    return digest_of([vae, clip, config.dtype, versions])


def recall_encoders(out: Folder, stamp: str) -> EncoderFacts | None:
    """What an earlier run found these encoders to be; None where none did."""
    content = out.read_if_there(KNOWN)
    if content is None:
        return None
    with suppress(ValueError, TypeError, KeyError):  # cut short or foreign: as good as missing
        known = json.loads(content)
        if known["stamp"] == stamp:
            return EncoderFacts.from_json(known)
    return None


def remember_encoders(out: Folder, stamp: str, encoders: EncoderFacts) -> None:
    """Keep what these encoders are for the next run."""
    out.write_json(KNOWN, {"stamp": stamp, **encoders.to_json()})
