"""Opening: what a flag names -> its encoder, on a device."""

from pbe.evaluation.metrics.encoders.clip import open_clip
from pbe.evaluation.metrics.encoders.dino import open_dino
from pbe.evaluation.metrics.encoders.efficientnet import open_efficientnet
from pbe.evaluation.metrics.encoders.protocol import FeatureEncoder
from pbe.evaluation.metrics.encoders.specs import CLIP, DINO, read_spec


def open_encoder(spec: str, *, device: str = "cpu", dtype: str = "float32") -> FeatureEncoder:
    """Open an encoder.

    Equal pictures give equal features on one type of machine, with one number of torch's threads.

    Args:
        spec: `clip=DIR`, `dino=DIR` (or a hub id, `id:subfolder`, or `untrained` for DIR), `efficientnet-lite0` or
            `efficientnet-lite2`.
        device: cpu, cuda, cuda:1 ...
        dtype: float32, float16 or bfloat16.

    Raises:
        InputError: it is missing or damaged, or of another kind; see also `check_encoder`.
    """
    read = read_spec(spec)
    opener = {CLIP: open_clip, DINO: open_dino}.get(read.kind, open_efficientnet)
    return opener(read, device=device, dtype=dtype)
