"""What a training step is made of, weights at random: the model twice over the same parameters, and the encoders of
online training; and how many operations it takes.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import diffusers
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from pbe.batch import Batch
from pbe.model.paint_by_example import ModelConfig, PaintByExample, model_config
from pbe.model.unet import UNET_SIZES, build_unet

VAE_SCALE = 0.18215

diffusers.utils.logging.set_verbosity_error()


@dataclass(frozen=True)
class Sizes:
    """Sizes of a whole step."""

    unet: str
    latent: int
    """Cells along a latent's side; the picture has eight times as many px."""
    vae_widths: tuple[int, ...]
    clip_width: int
    clip_layers: int
    clip_heads: int
    clip_px: int
    clip_patch: int
    mapper_blocks: int

    @property
    def picture(self) -> int:
        """Px along a picture's side."""
        return self.latent * 2 ** (len(self.vae_widths) - 1)


SIZES = {
    "sd-v1": Sizes("sd-v1", 64, (128, 256, 512, 512), 1024, 24, 16, 224, 14, mapper_blocks=5),
    "small": Sizes("small", 32, (16, 32, 32, 32), 128, 6, 4, 64, 8, mapper_blocks=2),
    "tiny": Sizes("tiny", 8, (8, 16, 16, 16), 64, 4, 4, 32, 8, mapper_blocks=1),
}


def model_of(sizes: Sizes, *, one_token: bool = True) -> ModelConfig:
    """Describe a model of these sizes; not `one_token`: by stock attention, all of it trained."""
    return model_config(
        UNET_SIZES[sizes.unet],
        latent_channels=4,
        latent_size=sizes.latent,
        exemplar_width=sizes.clip_width,
        blocks=sizes.mapper_blocks,
        bottleneck=one_token,
    )


class Trained:
    """The trained model, and stock diffusers' cross-attention over the same parameters.

    Args:
        dtype: of weights and computation.
    """

    def __init__(self, sizes: Sizes, *, device: str, dtype: torch.dtype) -> None:
        config = model_of(sizes)
        self.device, self.dtype = device, dtype
        with torch.device(device):
            model = PaintByExample(config).to(dtype).train()
        self.ours, self.conditioner = model.unet, model.conditioner
        with torch.device("meta"):
            self.stock = build_unet(config.unet, one_token=False).train()
        for name, parameter in self.ours.named_parameters():
            owner, _, leaf = name.rpartition(".")
            setattr(self.stock.get_submodule(owner), leaf, parameter)


class Encoders:
    """VAE and CLIP ViT as online training runs them in every step: pictures -> latents, exemplars -> vectors."""

    def __init__(self, sizes: Sizes, *, device: str, dtype: torch.dtype) -> None:
        self.sizes, self.device, self.dtype = sizes, device, dtype
        with torch.device(device):
            self.vae, self.clip = build_vae(sizes).to(dtype), build_clip(sizes).to(dtype)
        self.vae.decoder = None

    def set_up(self, *, compiled: bool, channels_last: bool) -> None:
        """Change how they compute."""
        self.vae.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        for module in (self.vae.encoder, self.clip):
            module._compiled_call_impl = None
            if compiled:
                module.compile()

    @torch.no_grad()
    def encode(self, batch: Batch, pictures: "Pictures") -> Batch:
        """Put freshly encoded latents and vectors into a batch."""
        return replace(
            batch,
            latents=self.encode_pictures(pictures.sources),
            masked_latents=self.encode_pictures(pictures.masked),
            exemplars=self.encode_exemplars(pictures.exemplars),
        )

    @torch.no_grad()
    def encode_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """[b, 3, h, w] in [-1, 1] -> [b, 4, h/8, w/8], the posterior means."""
        latents: torch.Tensor = self.vae.encode(pictures.to(self.dtype)).latent_dist.mode()
        return latents.float() * VAE_SCALE

    @torch.no_grad()
    def encode_exemplars(self, exemplars: torch.Tensor) -> torch.Tensor:
        """[b, 3, s, s] normalised -> [b, d]."""
        pooled: torch.Tensor = self.clip(exemplars.to(self.dtype)).pooler_output
        return pooled.float()


@dataclass(frozen=True)
class Pictures:
    """What online training encodes."""

    sources: torch.Tensor
    """[b, 3, h, w] float32 in [-1, 1]."""
    masked: torch.Tensor
    exemplars: torch.Tensor
    """[b, 3, s, s] float32."""


def build_vae(sizes: Sizes) -> Any:
    levels = len(sizes.vae_widths)
    vae = diffusers.AutoencoderKL(
        block_out_channels=sizes.vae_widths,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=min(32, sizes.vae_widths[0]),
        sample_size=sizes.picture,
    )
    return vae.eval().requires_grad_(False)


def build_clip(sizes: Sizes) -> Any:
    config = transformers.CLIPVisionConfig(
        hidden_size=sizes.clip_width,
        intermediate_size=4 * sizes.clip_width,
        num_hidden_layers=sizes.clip_layers,
        num_attention_heads=sizes.clip_heads,
        image_size=sizes.clip_px,
        patch_size=sizes.clip_patch,
    )
    return transformers.CLIPVisionModel(config).eval().requires_grad_(False)


def random_batch(sizes: Sizes, b: int, *, device: str, seed: int) -> Batch:
    g = torch.Generator(device).manual_seed(seed)
    latent = (b, 4, sizes.latent, sizes.latent)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, generator=g)

    return Batch(
        keys=[f"photo-0-{i}" for i in range(b)],
        ordinals=torch.arange(b),
        latents=normal(*latent),
        masked_latents=normal(*latent),
        masks=torch.rand((b, 1, *latent[2:]), device=device, generator=g),
        exemplars=normal(b, sizes.clip_width),
        noise=normal(*latent),
        timesteps=torch.randint(0, 1000, (b,), device=device, generator=g),
        drop=torch.rand(b, device=device, generator=g) < 0.2,
        weights=torch.ones(b, device=device),
    )


def random_pictures(sizes: Sizes, b: int, *, device: str, seed: int) -> Pictures:
    g = torch.Generator(device).manual_seed(seed)
    picture, exemplar = (b, 3, sizes.picture, sizes.picture), (b, 3, sizes.clip_px, sizes.clip_px)
    sources = torch.rand(picture, device=device, generator=g) * 2 - 1
    masked = sources * (torch.rand((b, 1, *picture[2:]), device=device, generator=g) < 0.7)
    return Pictures(sources, masked, torch.randn(exemplar, device=device, generator=g))


@dataclass(frozen=True)
class Work:
    """What one sample's step computes.

    Args:
        forward, backward: floating-point operations by operator, 2 a multiply-add.
        calls: of each module that has weights of its own, by name, as often as it is computed in the step.
    """

    forward: dict[str, float]
    backward: dict[str, float]
    calls: dict[str, int]

    @property
    def total(self) -> float:
        return sum(self.forward.values()) + sum(self.backward.values())


@cache
def count_work(sizes: Sizes, *, one_token: bool = True, checkpointing: bool = False) -> Work:
    """Count what a step computes, on the meta device: what torch's FlopCounterMode counts, no optimiser.

    These are matrix products, convolutions and attention; backward, with what is computed anew there.
    """
    with torch.device("meta"):
        model = PaintByExample(model_of(sizes, one_token=one_token)).train()
    if checkpointing:
        model.unet.enable_gradient_checkpointing()
    own = {name: module for name, module in model.named_modules() if [*module.parameters(recurse=False)]}
    calls = dict.fromkeys(own, 0)

    def count(name: str) -> None:
        calls[name] += 1

    for name, module in own.items():
        module.register_forward_pre_hook(lambda *_, name=name: count(name))
    with FlopCounterMode(display=False) as forward:
        loss = model(_meta_batch(sizes)).per_sample.mean()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return Work(_by_operator(forward), _by_operator(backward), calls)


def _by_operator(counter: FlopCounterMode) -> dict[str, float]:
    return {str(operator): float(count) for operator, count in counter.get_flop_counts().get("Global", {}).items()}


def count_flops(sizes: Sizes) -> dict[str, float]:
    """Count the floating-point operations of one sample's step: ours, by stock attention, encoding anew."""
    encoders = Encoders(sizes, device="meta", dtype=torch.float32)
    batch, pictures = _meta_batch(sizes), _meta_pictures(sizes)
    encodings = {
        "online": lambda: encoders.encode(batch, pictures),
        "live exemplars": lambda: encoders.encode_exemplars(pictures.exemplars),
    }
    ours, stock = (count_work(sizes, one_token=one_token).total for one_token in (True, False))
    counts = {"ours": ours, "stock": stock}
    for name, encode in encodings.items():
        with FlopCounterMode(display=False) as counter:
            encode()
        counts[name] = ours + float(counter.get_total_flops())
    return counts


def _meta_batch(sizes: Sizes) -> Batch:
    return random_batch(sizes, 1, device="cpu", seed=0).to("meta")


def _meta_pictures(sizes: Sizes) -> Pictures:
    pictures = random_pictures(sizes, 1, device="cpu", seed=0)
    return Pictures(**{name: value.to("meta") for name, value in vars(pictures).items()})
