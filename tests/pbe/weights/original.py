"""The original code's LatentDiffusion, as far as a strict load sees it: a module with its names and shapes.

Listed from its source (configs/v1.yaml; register_schedule; LitEma), so that it shares nothing with `pbe.weights`. Plain
attributes (`logvar`, `scale_factor`) and what is not persistent (`lvlb_weights`) are in no checkpoint.
"""

from typing import Any

import torch
from torch import nn

from tests.pbe.weights.ldm_names import Tensors, ldm_conditioner, ldm_unet, ldm_vae

SCHEDULE = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
    *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod"),
    *("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
)
TOWER = "cond_stage_model.transformer.vision_model"


def original_tensors(unet: Tensors, conditioner: Tensors, vae: Tensors, tower: Tensors, *, levels: int) -> Tensors:
    """What the original names hold, of parts under diffusers' names; the tower's without `vision_model.`."""
    positions = tower["embeddings.position_embedding.weight"].shape[0]
    return {
        **{name: torch.zeros(1000) for name in SCHEDULE},
        **ldm_unet(unet, levels=levels),
        **ldm_conditioner(conditioner),
        **ldm_vae(vae),
        **{f"{TOWER}.{name}": value for name, value in tower.items()},
        f"{TOWER}.embeddings.position_ids": torch.arange(positions)[None],
    }


class Original(nn.Module):
    """Holds tensors of these names and shapes.

    Args:
        use_ema: with the buffers of its LitEma, one for each parameter of `model`.
    """

    def __init__(self, tensors: Tensors, *, use_ema: bool) -> None:
        super().__init__()
        for name, value in tensors.items():
            _hold(self, name, torch.empty_like(value))
        if use_ema:
            ema: Any = nn.Module()
            ema.register_buffer("decay", torch.tensor(0.0))
            ema.register_buffer("num_updates", torch.tensor(0, dtype=torch.int))
            for name, value in self.model.named_buffers():  # type: ignore[operator, union-attr]
                ema.register_buffer(name.replace(".", ""), torch.empty_like(value))
            self.model_ema = ema

    def ema_scope(self) -> Tensors:
        """What its `ema_scope` puts into `model`, by the names of that."""
        shadows = dict(self.model_ema.named_buffers())
        return {name: shadows[name.replace(".", "")] for name, _ in self.model.named_buffers()}  # type: ignore[operator, union-attr]


def _hold(module: nn.Module, name: str, value: torch.Tensor) -> None:
    first, _, rest = name.partition(".")
    if not rest:
        module.register_buffer(first, value)
        return
    if first not in dict(module.named_children()):
        module.add_module(first, nn.Module())
    _hold(module.get_submodule(first), rest, value)
