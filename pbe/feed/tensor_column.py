"""Tensor column: tensor members of samples -> latents, masked latents and exemplar vectors of a batch.

Local bytes travel once: from the page cache straight into the batch's arrays.
"""

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray

from pbe.feed.columns import DamagedError, StoredSample
from pbe.feed.dataset import Dataset
from pipeline.shards.samples import not_finite, tensor_member
from schemas.samples import TENSORS_EXT


class TensorLayout:
    """How the tensor member of every sample of a dataset is laid out: a header, then the arrays.

    Args:
        shapes: of the arrays by name, in the order in which they lie in the file: that of their names.
        header: the bytes before them.
        numbers: how many are behind it.
        places: of the arrays among these, by name.
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

        self.places, self.numbers = {}, 0
        for name, array in zeros.items():
            self.places[name] = slice(self.numbers, self.numbers + array.size)
            self.numbers += array.size

    def unpack(self, content: bytes, row: NDArray[np.float16]) -> None:
        """Read a member whose header is written in another way into [numbers] float16.

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
        for name, place in self.places.items():
            row[place] = arrays[name].ravel()


class TensorColumn:
    """Fills `latents` and `masked_latents` [b, c, h, w], and `exemplars` [b, d] with the stored vectors."""

    def __init__(self, count: int, *, layout: TensorLayout) -> None:
        self._layout = layout
        self._rows = np.zeros((count, layout.numbers), np.float16)
        self._header = np.empty(len(layout.header), np.uint8)

    def fill(self, slot: int, sample: StoredSample) -> None:
        """See Column; a number that is not finite is damage."""
        offset, size = sample.span(TENSORS_EXT)
        row = self._rows[slot]
        # One read fills header and arrays. Another header, or too few bytes, needs a closer look.
        read = sample.window.fill(offset, [self._header, row.view(np.uint8)])
        if read != size or self._header.tobytes() != self._layout.header:
            self._layout.unpack(sample.read(TENSORS_EXT), row)
        if not_finite(row):
            odd = {name: not_finite(row[place]) for name, place in self._layout.places.items()}
            raise DamagedError(", ".join(f"{name} holds {value}" for name, value in odd.items() if value))

    def clear(self, slot: int) -> None:
        """See Column."""
        self._rows[slot] = 0

    def tensors(self) -> dict[str, torch.Tensor]:
        """See Column."""
        rows, layout = torch.from_numpy(self._rows), self._layout
        vectors, latents, masked_latents = (
            rows[:, layout.places[name]].float().reshape(len(rows), *shape) for name, shape in layout.shapes.items()
        )
        return {"latents": latents, "masked_latents": masked_latents, "exemplars": vectors}
