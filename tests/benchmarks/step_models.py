"""What a training step is made of, weights at random: the model twice over the same parameters, the encoders of online
training, and an optimiser.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import diffusers
import torch
import transformers
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pbe.batch import Batch
from pbe.model.diffusion import training_loss
from pbe.model.paint_by_example import PaintByExample, model_config
from pbe.model.schedule import scaled_linear_schedule
from pbe.model.unet import UNET_SIZES, build_unet, compile_unet

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
    "tiny": Sizes("tiny", 8, (8, 16, 16, 16), 64, 4, 4, 32, 8, mapper_blocks=1),
}


class Trained:
    """The trained model, and stock diffusers' cross-attention over the same parameters.

    Args:
        dtype: of weights and computation.
    """

    def __init__(self, sizes: Sizes, *, device: str, dtype: torch.dtype) -> None:
        config = model_config(
            UNET_SIZES[sizes.unet],
            latent_channels=4,
            latent_size=sizes.latent,
            exemplar_width=sizes.clip_width,
            blocks=sizes.mapper_blocks,
        )
        self.device, self.dtype = device, dtype
        with torch.device(device):
            model = PaintByExample(config).to(dtype).train()
        self.ours, self.conditioner = model.unet, model.conditioner
        self._dead = [parameter for parameter in self.ours.parameters() if not parameter.requires_grad]
        with torch.device("meta"):
            self.stock = build_unet(config.unet, one_token=False).train()
        for name, parameter in self.ours.named_parameters():
            owner, _, leaf = name.rpartition(".")
            setattr(self.stock.get_submodule(owner), leaf, parameter)
        self._schedule = scaled_linear_schedule().to(torch.device(device))

    def parameters(self) -> list[nn.Parameter]:
        """All but the conditioner's dead ones; the UNet's query path included, which `ours` gives no gradients."""
        return [*self.ours.parameters(), *(p for p in self.conditioner.parameters() if p.requires_grad)]

    def backward(self, batch: Batch, *, stock: bool = False) -> None:
        """Run forward and backward; only stock attention gives the query path gradients."""
        for parameter in self._dead:
            parameter.requires_grad_(stock)
        losses = training_loss(self.stock if stock else self.ours, self.conditioner, batch, self._schedule)
        losses.per_sample.mean().backward()

    def set_up(self, *, compiled: bool, channels_last: bool, checkpointing: bool) -> None:
        """Change how both UNets compute."""
        torch.compiler.reset()  # else a second batch size would be compiled for shapes of any size
        self.ours.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        for unet in (self.ours, self.stock):
            unet._compiled_call_impl = None
            if compiled:
                compile_unet(unet)
            (unet.enable_gradient_checkpointing if checkpointing else unet.disable_gradient_checkpointing)()


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


class MasterAdamW:
    """AdamW in float32 for weights of any precision: half-precision weights keep float32 masters, as DeepSpeed does."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        half = self.parameters[0].dtype != torch.float32
        self.masters = [p.detach().float().clone() for p in self.parameters] if half else self.parameters
        fused = self.parameters[0].device.type == "cuda"
        self.inner = torch.optim.AdamW(self.masters, lr=1e-5, weight_decay=0.01, fused=fused, foreach=not fused)

    def step(self) -> None:
        """Step and drop the gradients; parameters without one stay as they are."""
        if self.masters is self.parameters:
            self.inner.step()
        else:
            pairs = [(p, m) for p, m in zip(self.parameters, self.masters, strict=True) if p.grad is not None]
            for parameter, master in pairs:
                assert parameter.grad is not None
                master.grad = torch.empty_like(master).copy_(parameter.grad)  # in the master's memory order
                parameter.grad = None
            self.inner.step()
            with torch.no_grad():
                for parameter, master in pairs:
                    parameter.copy_(master)
        self.inner.zero_grad(set_to_none=True)


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


def count_flops(sizes: Sizes) -> dict[str, float]:
    """Count the floating-point operations of one sample's step, 2 a multiply-add, on the meta device.

    Matrix products, convolutions and attention of forward and backward, no recomputation, no optimiser: what torch's
    FlopCounterMode counts.
    """
    trained = Trained(sizes, device="meta", dtype=torch.float32)
    encoders = Encoders(sizes, device="meta", dtype=torch.float32)
    batch, pictures = _meta_batch(sizes), _meta_pictures(sizes)
    steps = {
        "ours": lambda: trained.backward(batch),
        "stock": lambda: trained.backward(batch, stock=True),
        "encoding": lambda: encoders.encode(batch, pictures),
        "exemplars": lambda: encoders.encode_exemplars(pictures.exemplars),
    }
    counts = {}
    for name, step in steps.items():
        with FlopCounterMode(display=False) as counter:
            step()
        counts[name] = float(counter.get_total_flops())
    ours = counts["ours"]
    online, live = ours + counts["encoding"], ours + counts["exemplars"]
    return {"ours": ours, "stock": counts["stock"], "online": online, "live exemplars": live}


def _meta_batch(sizes: Sizes) -> Batch:
    return random_batch(sizes, 1, device="cpu", seed=0).to("meta")


def _meta_pictures(sizes: Sizes) -> Pictures:
    pictures = random_pictures(sizes, 1, device="cpu", seed=0)
    return Pictures(**{name: value.to("meta") for name, value in vars(pictures).items()})
