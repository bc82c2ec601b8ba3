"""Encode: sources -> VAE latents, augmented exemplars -> one vector each, by any diffusers VAE and CLIP vision tower.

Another encoder takes part by having the four members of `SourceEncoder` or `ExemplarEncoder`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import diffusers
import numpy as np
import safetensors
import torch
import transformers
from numpy.typing import NDArray

from pipeline.config import UNTRAINED
from pipeline.errors import InputError

UNTRAINED_SEED = 0
CPU_THREADS = 1  # another number gives other last bits
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

diffusers.utils.logging.set_verbosity_error()
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

VAE_CLASSES = ("AutoencoderKL", "AutoencoderTiny")
_CLIP_TYPES = ("clip", "clip_vision_model")
_PBE_ENCODER = "PaintByExampleImageEncoder"
LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError)
_NO_WEIGHTS = "give a folder that holds the model (config.json and .safetensors weights), or `untrained`"


class SourceEncoder(Protocol):
    """Turns sources into latents."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Of weights, config and precision: equal fingerprints, equal latents on one machine type."""
        ...

    @property
    def factor(self) -> int:
        """Source px a latent cell."""
        ...

    @property
    def channels(self) -> int: ...

    def encode(self, images: torch.Tensor) -> NDArray[np.float16]:
        """[b, 3, h, w] float32 in [-1, 1] -> [b, channels, h / factor, w / factor], scaled for the diffusion model."""
        ...


class ExemplarEncoder(Protocol):
    """Turns augmented exemplars into vectors."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """[b, 224, 224, 3] RGB -> [b, dimension]."""
        ...


@dataclass(frozen=True)
class VaeEncoder:
    """The posterior mean of a diffusers AutoencoderKL, or the latent of an AutoencoderTiny."""

    name: str
    fingerprint: str
    factor: int
    channels: int
    model: Any
    device: str
    dtype: torch.dtype

    @torch.inference_mode()
    def encode(self, images: torch.Tensor) -> NDArray[np.float16]:
        """See SourceEncoder."""
        encoded = self.model.encode(images.to(self.device, self.dtype))
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        shift = getattr(self.model.config, "shift_factor", None) or 0.0
        scaled = (latents.float() - shift) * self.model.config.scaling_factor
        return scaled.to(torch.float16).cpu().numpy()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ClipEncoder:
    """The pooled class token of a transformers CLIP vision tower, after its last layer norm, without projection."""

    name: str
    fingerprint: str
    dimension: int
    model: Any
    device: str
    dtype: torch.dtype

    @torch.inference_mode()
    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """See ExemplarEncoder."""
        images = unit_pixels(exemplars)
        size = self.model.config.image_size
        if images.shape[-1] != size:
            images = torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        pooled = self.model(clip_normalise(images).to(self.device, self.dtype)).pooler_output
        return pooled.to(torch.float16).cpu().numpy()  # type: ignore[no-any-return]


def load_vae(name: str, *, device: str, dtype: str) -> VaeEncoder:
    """Load a VAE.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`.

    Raises:
        InputError: it cannot be had, or is no VAE of a known class.
    """
    if name == UNTRAINED:
        model = _untrained_vae()
    else:
        source = _locate("--vae", name, "vae")
        try:
            class_name = diffusers.AutoencoderKL.load_config(**source)["_class_name"]
            if class_name not in VAE_CLASSES:
                raise InputError(f"--vae {name}: class {class_name}; give one of {', '.join(VAE_CLASSES)}")
            model, loaded = getattr(diffusers, class_name).from_pretrained(
                **source, use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True
            )
            _refuse_gaps(f"--vae {name}", loaded["missing_keys"])
        except LOADING_ERRORS as error:
            raise InputError(f"--vae {name}: cannot be loaded ({_first_line(error)}); {_NO_WEIGHTS}") from error
    factor = 2 ** (len(model.config.get("block_out_channels") or model.config["encoder_block_out_channels"]) - 1)
    config = {key: value for key, value in model.config.items() if not key.startswith("_")}
    fingerprint = _fingerprint(type(model).__name__, config, model, dtype)
    torch_dtype = getattr(torch, dtype)
    model = model.to(device=device, dtype=torch_dtype).eval().requires_grad_(False)
    return VaeEncoder(name, fingerprint, factor, model.config.latent_channels, model, device, torch_dtype)


def load_clip(name: str, *, device: str, dtype: str) -> ClipEncoder:
    """Load a CLIP vision tower.

    Args:
        name: a folder, a hub id (`id:subfolder`), or `untrained`; also a Paint by Example image encoder, which has one.

    Raises:
        InputError: it cannot be had, or is no CLIP.
    """
    if name == UNTRAINED:
        model = _untrained_clip()
    else:
        source = _locate("--clip", name, "image_encoder")
        source["subfolder"] = source["subfolder"] or ""
        try:
            config = transformers.AutoConfig.from_pretrained(**source)
            if config.model_type not in _CLIP_TYPES:
                raise InputError(f"--clip {name}: model type {config.model_type}; give a CLIP model")
            inside = {"key_mapping": _tower_names(config)} if _PBE_ENCODER in (config.architectures or ()) else {}
            model, loaded = transformers.CLIPVisionModel.from_pretrained(
                **source, **inside, use_safetensors=True, output_loading_info=True
            )
            _refuse_gaps(f"--clip {name}", loaded["missing_keys"])
        except LOADING_ERRORS as error:
            raise InputError(f"--clip {name}: cannot be loaded ({_first_line(error)}); {_NO_WEIGHTS}") from error
    volatile = ("transformers_version", "architectures", "dtype", "torch_dtype")
    facts = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_") and k not in volatile}
    fingerprint = _fingerprint("CLIPVisionModel", facts, model, dtype)
    torch_dtype = getattr(torch, dtype)
    model = model.to(device=device, dtype=torch_dtype).eval().requires_grad_(False)
    return ClipEncoder(name, fingerprint, model.config.hidden_size, model, device, torch_dtype)


def make_deterministic() -> None:
    """Pin what would let equal inputs give unequal bits: threads and autotuning."""
    torch.set_num_threads(CPU_THREADS)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def unit_pixels(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """[b, h, w, 3] uint8 -> [b, 3, h, w] float32 in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def clip_normalise(images: torch.Tensor) -> torch.Tensor:
    """[b, 3, h, w] in [0, 1] -> with the mean and deviation of CLIP's training pictures taken out."""
    mean, std = torch.tensor(CLIP_MEAN).view(3, 1, 1), torch.tensor(CLIP_STD).view(3, 1, 1)
    return (images - mean) / std


def signed(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """[b, h, w, 3] uint8 -> [b, 3, h, w] float32 in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def blank_signed(images: torch.Tensor, masks: NDArray[np.uint8]) -> torch.Tensor:
    """Blank the hole: images [b, 3, h, w] in [-1, 1], masks [b, h, w] with 1 = repaint -> 0 in the hole."""
    return images * (1 - torch.from_numpy(masks)[:, None].float())


def _untrained_vae() -> Any:
    blocks = 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return diffusers.AutoencoderKL(
            block_out_channels=(8, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            latent_channels=4,
            norm_num_groups=4,
        )


def _untrained_clip() -> Any:
    config = transformers.CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4, projection_dim=64
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return transformers.CLIPVisionModel(config)


def _tower_names(config: Any) -> dict[str, str]:
    """Map the names in a Paint by Example image encoder, `model.*`, to those that this transformers gives a tower."""
    with torch.device("meta"):
        names = transformers.CLIPVisionModel(config).state_dict()
    prefix = "vision_model."
    nested = any(name.startswith(prefix) for name in names)
    return {r"^model\.(vision_model\.)?": prefix if nested else ""}


def _refuse_gaps(what: str, missing: Iterable[str]) -> None:
    """Refuse weights that leave parts of the model at random.

    Raises:
        InputError: naming some of the absent tensors.
    """
    gaps = sorted(missing)
    if gaps:
        raise InputError(f"{what}: its weights lack {len(gaps)} tensors ({', '.join(gaps[:3])} ...); {_NO_WEIGHTS}")


def _locate(flag: str, name: str, part: str) -> dict[str, Any]:
    """Find the folder or hub id, and the sub-folder in it: a whole pipeline's folder is entered at its part."""
    if Path(name).exists():
        if not Path(name).is_dir():
            raise InputError(f"{flag} {name}: is no folder; {_NO_WEIGHTS}")
        inner = not (Path(name) / "config.json").exists() and (Path(name) / part / "config.json").exists()
        return {"pretrained_model_name_or_path": name, "subfolder": part if inner else None}
    if name.startswith(("/", ".", "~")):
        raise InputError(f"{flag} {name}: no such folder; {_NO_WEIGHTS}")
    repository, _, subfolder = name.partition(":")
    return {"pretrained_model_name_or_path": repository, "subfolder": subfolder or None}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _fingerprint(class_name: str, config: Mapping[str, Any], model: torch.nn.Module, dtype: str) -> str:
    """Hash class, config, precision and every tensor by name."""
    digest = hashlib.sha256(json.dumps([class_name, config, dtype], sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
