"""Guidance: what is painted so far -> how far CLIP finds it from a text or an image. Lower is nearer."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pbe.evaluation.methods.blended.schedule import Step
from pbe.evaluation.methods.blended.views import make_views
from pipeline.rng import rng_for

CLIP_WEIGHT = 1000.0
_MOST_SINE = 1 - 1e-6  # at opposite vectors the distance has no slope


@dataclass(frozen=True)
class ClipGuide:
    """The distance between views of a picture and a target, in CLIP's space.

    Args:
        encode: pictures [n, 3, side, side] in [0, 1], with a gradient -> vectors [n, d].
        target: [1, d], of a text or an image.
        side: px of the pictures that `encode` takes.
        seed: of the case.
    """

    encode: Callable[[torch.Tensor], torch.Tensor]
    target: torch.Tensor
    side: int
    seed: int

    def __call__(self, seen: torch.Tensor, step: Step) -> torch.Tensor:
        """Measure a picture [1, 3, s, s] in [-1, 1] whose background is 0: the weighted mean over its views, []."""
        views = make_views(seen.cpu(), self.side, rng_for(self.seed, "blended-views", step.timestep))
        return CLIP_WEIGHT * spherical_distance(self.encode((views + 1) / 2), self.target).mean()


def spherical_distance(vectors: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Half the squared angle between vectors, 2 asin^2(|a - b| / 2) for those of length 1: [n, d], [1, d] -> [n]."""
    chord: torch.Tensor = (F.normalize(vectors, dim=-1) - F.normalize(others, dim=-1)).norm(dim=-1)
    return 2 * (chord / 2).clamp(max=_MOST_SINE).asin().square()
