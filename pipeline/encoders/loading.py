"""Loading: what --vae and --exemplar-encoder name -> a codec and an exemplar encoder of any kind, on a device.

The one place that knows the kinds: another encoder is chosen here, by its config.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.encoders.building import build_vae
from pipeline.encoders.clip import ClipEncoder, load_clip
from pipeline.encoders.efficientnet_pca import EfficientNetEncoder, EfficientNetPca, load_efficientnet_pca
from pipeline.encoders.facts import EFFICIENTNET_PCA, PATCH_PCA, find_config, latent_factor, read_config
from pipeline.encoders.fingerprints import make_deterministic
from pipeline.encoders.names import UNTRAINED
from pipeline.encoders.patch_pca import PatchCodec, PatchPca, build_patch_pca, load_patch_codec
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.encoders.vae import VaeEncoder, load_vae
from pipeline.tensors.names import Tensors


def load_encoders(vae: str, clip: str, *, device: str, dtype: str) -> tuple[Codec, ExemplarEncoder]:
    """Load both encoders of a dataset, with what equal bytes need pinned.

    Args:
        vae, clip: folders, hub ids or `untrained`.
        device: cpu or cuda.
        dtype: float32, float16 or bfloat16.

    Raises:
        InputError: one is missing or damaged.
    """
    make_deterministic()
    return (
        load_codec(vae, device=device, dtype=dtype),
        load_exemplar_encoder(clip, device=device, dtype=dtype),
    )


def load_codec(name: str, *, device: str, dtype: str) -> Codec:
    """Load a codec.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`.

    Raises:
        InputError: it cannot be loaded, is of an unknown class, or holds numbers that are not finite.
    """
    load = load_patch_codec if _kind("--vae", name, "vae", "_class_name") == PATCH_PCA else load_vae
    return load(name, device=device, dtype=dtype)


def load_exemplar_encoder(name: str, *, device: str, dtype: str) -> ExemplarEncoder:
    """Load an exemplar encoder, likewise.

    Args:
        name: also of a complete CLIP or of a Paint by Example image encoder, which both hold a tower.
    """
    if _kind("--exemplar-encoder", name, "image_encoder", "model_type") == EFFICIENTNET_PCA:
        return load_efficientnet_pca(name, device=device, dtype=dtype)
    return load_clip(name, device=device, dtype=dtype)


def build_codec(tensors: Tensors, config: Mapping[str, Any], what: str) -> Any:
    """Build a codec's module, frozen, in the precision of its tensors; see `build_vae` and `build_patch_pca`."""
    build = build_patch_pca if config.get("_class_name") == PATCH_PCA else build_vae
    return build(tensors, config, what)


def codec_of(model: Any) -> Codec:
    """Take the module of a model's folder as a codec, without name and fingerprint.

    Args:
        model: a PatchPca, or diffusers' AutoencoderKL or AutoencoderTiny.
    """
    if isinstance(model, PatchPca):
        return PatchCodec("", "", model)
    return VaeEncoder("", "", latent_factor(model.config), model.config.latent_channels, model)


def exemplar_encoder_of(model: Any) -> ExemplarEncoder:
    """Take the module of a model's folder as an exemplar encoder, likewise.

    Args:
        model: an EfficientNetPca, or transformers' CLIPVisionModel.
    """
    if isinstance(model, EfficientNetPca):
        return EfficientNetEncoder("", "", model)
    return ClipEncoder("", "", model.config.hidden_size, model)


def _kind(flag: str, name: str, part: str, key: str) -> Any:
    """Return what an encoder's config calls its kind; None: the untrained one's."""
    return None if name == UNTRAINED else read_config(flag, name, find_config(flag, name, part)).get(key)
