"""OpenAI's ADM, small and written anew from its paper and the names of its tensors: what ours is held against."""

import math

import torch
from torch import nn
from torch.nn import functional as F

HEAD = 64


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels)


class Residual(nn.Module):
    """Residual block with adaptive group norm; `size` 2 or 0.5 changes the picture's size first."""

    def __init__(self, channels: int, out: int, *, time: int, size: float = 1) -> None:
        super().__init__()
        self.size = size
        self.in_layers = nn.Sequential(norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * out))
        self.out_layers = nn.Sequential(norm(out), nn.SiLU(), nn.Dropout(0), nn.Conv2d(out, out, 3, padding=1))
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def resized(self, x: torch.Tensor) -> torch.Tensor:
        if self.size == 2:
            return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1)) if self.size == 0.5 else x

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        h = self.in_layers[2](self.resized(F.silu(self.in_layers[0](x))))
        scale, shift = self.emb_layers(time)[..., None, None].split(h.shape[1], dim=1)
        h = self.out_layers[0](h) * (1 + scale) + shift
        return self.skip_connection(self.resized(x)) + self.out_layers[3](F.silu(h))


class SelfAttention(nn.Module):
    """Attention whose projection gives, head by head, 64 channels each of queries, keys and values."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.qkv = norm(channels), nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        rows = self.qkv(self.norm(x.flatten(2)))
        heads = []
        for first in range(0, rows.shape[1], 3 * HEAD):
            q, k, v = (rows[:, first + i * HEAD : first + (i + 1) * HEAD] for i in range(3))
            weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(HEAD), dim=-1)  # [b, to, from]
            heads.append(v @ weights.transpose(1, 2))
        return x + self.proj_out(torch.cat(heads, dim=1)).view_as(x)


class Conv(nn.Conv2d):
    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


class GuidedDiffusionUNet(nn.Module):
    """ADM without classes.

    Args:
        widths: channels of each level, the largest picture first; the first ones are also the model's.
        attention: the levels that have it.
    """

    def __init__(self, widths: tuple[int, ...], attention: tuple[int, ...], *, layers: int) -> None:
        super().__init__()
        time, self.width = 4 * widths[0], widths[0]
        self.time_embed = nn.Sequential(nn.Linear(self.width, time), nn.SiLU(), nn.Linear(time, time))
        down: list[list[nn.Module]] = [[Conv(3, self.width, 3, padding=1)]]
        skips = [channels := self.width]
        for level, width in enumerate(widths):
            for _ in range(layers):
                down.append([Residual(channels, width, time=time)])
                down[-1] += [SelfAttention(width)] if level in attention else []
                skips.append(channels := width)
            if level < len(widths) - 1:
                down.append([Residual(width, width, time=time, size=0.5)])
                skips.append(width)
        middle = [Residual(channels, channels, time=time), SelfAttention(channels)]
        self.middle_block = nn.ModuleList([*middle, Residual(channels, channels, time=time)])
        up: list[list[nn.Module]] = []
        for level, width in reversed(list(enumerate(widths))):
            for number in range(layers + 1):
                up.append([Residual(channels + skips.pop(), width, time=time)])
                up[-1] += [SelfAttention(width)] if level in attention else []
                if level and number == layers:
                    up[-1].append(Residual(width, width, time=time, size=2))
                channels = width
        self.input_blocks = nn.ModuleList(nn.ModuleList(block) for block in down)
        self.output_blocks = nn.ModuleList(nn.ModuleList(block) for block in up)
        self.out = nn.Sequential(norm(channels), nn.SiLU(), nn.Conv2d(channels, 6, 3, padding=1))

    def forward(self, x: torch.Tensor, timestep: int) -> torch.Tensor:
        half = self.width // 2
        angles = timestep * 10000 ** (-torch.arange(half) / half)
        time = self.time_embed(torch.cat([angles.cos(), angles.sin()])[None])
        kept = []
        for block in self.input_blocks:
            for layer in block:
                x = layer(x, time)
            kept.append(x)
        for layer in self.middle_block:
            x = layer(x, time)
        for block in self.output_blocks:
            x = torch.cat([x, kept.pop()], dim=1)
            for layer in block:
                x = layer(x, time)
        return self.out(x)


def tiny(seed: int = 0, *, widths: tuple[int, ...] = (32, 64, 128), attention: tuple[int, ...] = (1, 2)) -> nn.Module:
    """Make a small one with random weights, none of them zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GuidedDiffusionUNet(widths, attention, layers=1).eval()
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model.requires_grad_(False)


def full_size() -> nn.Module:
    """Make the one of 256x256_diffusion_uncond.pt, without storage."""
    with torch.device("meta"):
        return GuidedDiffusionUNet((256, 256, 512, 512, 1024, 1024), (3, 4, 5), layers=2)
