"""Prior: weights to start from -> what a reader must know of them, or why no row can start from them.

Torch is imported where tensors are read.
"""

from pbe.training.config import TrainConfig
from pbe.weights.hub import find_configs
from pbe.weights.model_files import is_paint_by_example
from pipeline.errors import InputError

PAINTS = "from weights that paint by example"
SIZES = ("block_out_channels", "layers_per_block", "cross_attention_dim")


def caveat_of(prior: str) -> str:
    """Say what of a prior is not the paper's, Stable Diffusion: that it paints by example already; empty: nothing.

    Raises:
        InputError: it is not there, or no model.
    """
    folder = find_configs("--prior", prior)
    if folder:
        return PAINTS if (folder / "conditioner").is_dir() or is_paint_by_example(folder) else ""
    from pbe.weights.reading import read_weights

    return PAINTS if read_weights(prior).conditioner else ""


def check_prior(prior: str, naive: TrainConfig) -> None:
    """Read a prior as the trainer will, which meets it only after the naive row; hold its size against that row's.

    Raises:
        InputError: it cannot be read, has another size, so that the rows would not be comparable, or predicts
            velocities where the rows predict noise, which the trainer refuses.
    """
    from pbe.model.unet import UNET_SIZES, unet_config
    from pbe.weights.reading import read_weights

    try:
        weights = read_weights(prior, choice=naive.weights)
    except InputError as error:
        raise InputError(f"--prior {prior}: {error}") from error
    if weights.prediction == "v" and naive.prediction == "epsilon":
        raise InputError(
            f"--prior {prior}: predicts velocities, the rows noise; give the trainer's --prediction v after --"
        )
    expected = unet_config(UNET_SIZES[naive.model], latent_channels=1)
    given = weights.unet_config or {}  # a checkpoint, which says nothing of its size, must have the naive row's
    for name in SIZES:
        found, wanted = (list(size) if isinstance(size := of.get(name), tuple) else size for of in (given, expected))
        if found not in (None, wanted):
            raise InputError(
                f"--prior {prior}: its UNet has {name} {found}, the naive row's has {wanted}: not comparable; take "
                "another preset, or give the trainer's --model after --"
            )
