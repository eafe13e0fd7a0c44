"""A split in memory: the source's own numbers as one tensor, and the map from a batch of them to network input."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from modescope.data.split import DataSet, Split
from modescope.settings import DataSettings


@dataclass(frozen=True)
class TensorSplit:
    """Inputs (example, height, width, channel) as they were stored, bytes staying bytes, and labels (example)."""

    inputs: Shaped[Tensor, "example ..."]
    labels: Int64[Tensor, " example"]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, chosen: Int64[Tensor, " _"]) -> "TensorSplit":
        """Some of the examples, in this order."""
        chosen = chosen.to(self.labels.device)
        return TensorSplit(self.inputs[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Scaling:
    """Stored numbers -> network input: (x / divisor) - mean, channels-last in memory.

    Bytes are gathered and turned into floats batch by batch: a quarter of the memory of a float copy, and no slower.
    """

    divisor: float
    mean: Float[Tensor, "..."] | None  # the mean training image in units of `divisor`, or None
    dtype: torch.dtype

    def __call__(self, stored: Shaped[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """A batch as the network sees it; images come out as (batch, channel, height, width)."""
        scaled = stored.to(self.dtype)
        if self.divisor != 1:
            scaled = scaled / self.divisor
        if self.mean is not None:
            scaled = scaled - self.mean
        return scaled.permute(0, 3, 1, 2) if scaled.ndim == 4 else scaled


@dataclass(frozen=True)
class TensorData:
    """A data set in memory, ready to be trained on."""

    train: TensorSplit
    test: TensorSplit
    scaling: Scaling
    input_shape: tuple[int, ...]  # as stored: (height, width, channel) for images
    classes: int


def in_memory(data: DataSet, settings: DataSettings, *, dtype: torch.dtype, device: torch.device) -> TensorData:
    """Bring a data set into the memory of the device that will train on it.

    Args:
        data: A data set as `load_data` gives it.
        settings: The `[data]` section of the recipe, for its `scaling`.
        dtype: Of the network's inputs.
        device: Where to.

    Returns:
        Both splits and the map from stored numbers to network input.
    """
    divisor = 1.0 if settings.scaling == "raw" else data.brightest
    mean = None
    if settings.scaling == "centred":
        # in float64 and once for all: the mean must not depend on the machine's order of summation
        image = data.train.inputs.mean(axis=0, dtype="float64") / divisor
        mean = torch.as_tensor(image, dtype=dtype, device=device)
    return TensorData(
        train=_tensors(data.train, device),
        test=_tensors(data.test, device),
        scaling=Scaling(divisor, mean, dtype),
        input_shape=data.input_shape,
        classes=len(data.class_names),
    )


def _tensors(split: Split, device: torch.device) -> TensorSplit:
    return TensorSplit(_tensor(split.inputs, device), _tensor(split.labels, device))


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    """On the CPU, memory that may be written to is used as it is: processes that mapped the same file share it."""
    return torch.as_tensor(array, device=device) if array.flags.writeable else torch.tensor(array, device=device)
