"""Tensor column: tensor members of samples -> latents, masked latents and exemplar vectors of a batch.

Local bytes travel once: from the page cache straight into the batch's arrays.
"""

import numpy as np
import safetensors
import safetensors.numpy
import torch

from pbe.feed.blocks import Bytes
from pbe.feed.columns import DamagedError, StoredSample
from pbe.feed.dataset import Dataset
from pipeline.shards.samples import tensor_member
from schemas.samples import TENSORS_EXT


class TensorLayout:
    """How the tensor member of every sample of a dataset is laid out: a header, then the arrays.

    Args:
        shapes: of the arrays by name, in the order in which they lie in the file: that of their names.
        header: the bytes before them.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.shapes = {
            "exemplar": (dataset.dimension,),
            "latent": dataset.latent_shape,
            "masked_latent": dataset.latent_shape,
        }
        # All members have the same shapes and so the same header, which is whatever stands before the arrays.
        zeros = {name: np.zeros(shape, np.float16) for name, shape in self.shapes.items()}
        member = tensor_member(zeros["latent"], zeros["masked_latent"], zeros["exemplar"])
        self.header = member[: len(member) - sum(array.nbytes for array in zeros.values())]

    def unpack(self, content: bytes, parts: list[Bytes]) -> None:
        """Read a member whose header is written in another way into one buffer an array.

        Raises:
            DamagedError: it is not a safetensors file, or not of the dataset's sizes.
        """
        try:
            arrays = safetensors.numpy.load(content)
        except safetensors.SafetensorError as error:
            raise DamagedError(f".{TENSORS_EXT} is damaged ({error})") from error
        stored = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
        if stored != {name: (shape, "float16") for name, shape in self.shapes.items()}:
            raise DamagedError(f".{TENSORS_EXT} holds {stored}, not float16 of {self.shapes}")
        for name, part in zip(self.shapes, parts, strict=True):
            part[:] = np.ascontiguousarray(arrays[name]).view(np.uint8).ravel()


class TensorColumn:
    """Fills `latents` and `masked_latents` [b, c, h, w], and `exemplars` [b, d] with the stored vectors."""

    def __init__(self, count: int, *, layout: TensorLayout) -> None:
        self._layout = layout
        self._arrays = [torch.zeros((count, *shape), dtype=torch.float16) for shape in layout.shapes.values()]
        self._rows = [array.view(torch.uint8).reshape(count, -1).numpy() for array in self._arrays]
        self._header = np.empty(len(layout.header), np.uint8)

    def fill(self, slot: int, sample: StoredSample) -> None:
        """See Column."""
        offset, size = sample.span(TENSORS_EXT)
        parts = [rows[slot] for rows in self._rows]
        # One read fills header and arrays. Another header, or too few bytes, needs a closer look.
        read = sample.window.fill(offset, [self._header, *parts])
        if read != size or self._header.tobytes() != self._layout.header:
            self._layout.unpack(sample.read(TENSORS_EXT), parts)

    def clear(self, slot: int) -> None:
        """See Column."""
        for rows in self._rows:
            rows[slot] = 0

    def tensors(self) -> dict[str, torch.Tensor]:
        """See Column."""
        vectors, latents, masked_latents = (array.float() for array in self._arrays)
        return {"latents": latents, "masked_latents": masked_latents, "exemplars": vectors}
