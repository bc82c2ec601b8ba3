"""Loading: the encoders that a shard job's config names -> both, on a device, with what equal bytes need pinned."""

from pipeline.encoders.clip import load_clip
from pipeline.encoders.fingerprints import make_deterministic
from pipeline.encoders.protocols import ExemplarEncoder, SourceEncoder
from pipeline.encoders.vae import load_vae


def load_encoders(vae: str, clip: str, *, device: str, dtype: str) -> tuple[SourceEncoder, ExemplarEncoder]:
    """Load both encoders.

    Args:
        vae, clip: folders, hub ids or `untrained`.
        device: cpu or cuda.
        dtype: float32, float16 or bfloat16.

    Raises:
        InputError: one is missing or damaged.
    """
    make_deterministic()
    return load_vae(vae, device=device, dtype=dtype), load_clip(clip, device=device, dtype=dtype)
