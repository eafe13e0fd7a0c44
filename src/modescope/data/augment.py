"""Augmentations: maps of a whole batch of images at once, each image drawing for itself from an explicit generator."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from modescope.data.split import DataSet
from modescope.errors import DataError

Images = Float[Tensor, "batch channel height width"]


@dataclass(frozen=True)
class Augmentation:
    """A random map of images, in two steps, so that draws can be made long before they are needed.

    `draw(count, size, generator, dtype)` gives tensors with one row an image; `apply(images, *drawn)` maps (batch,
    channel, height, width) to the same shape.
    """

    draw: Callable[[int, tuple[int, int], torch.Generator, torch.dtype], tuple[Tensor, ...]]
    apply: Callable[..., Images]

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """Draw for a batch and apply at once."""
        drawn = self.draw(len(images), tuple(images.shape[2:]), generator, images.dtype)
        return self.apply(images, *(draws.to(images.device) for draws in drawn))


def _draw_report(
    count: int, size: tuple[int, int], generator: torch.Generator, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    top, left = (torch.randint(0, 2 * (pixels // 8) + 1, (count, 1), generator=generator) for pixels in size)
    return top, left, torch.rand((count, 1, 1, 1), generator=generator, dtype=dtype) - 0.5


def _apply_report(images: Images, top: Tensor, left: Tensor, shift: Tensor) -> Images:
    count, _, height, width = images.shape
    rows, columns = height // 8, width // 8
    padded = F.pad(images, (columns, columns, rows, rows)).permute(0, 2, 3, 1)
    example = torch.arange(count, device=images.device)[:, None, None]
    row = (top + torch.arange(height, device=images.device))[:, :, None]
    column = (left + torch.arange(width, device=images.device))[:, None, :]
    return (padded[example, row, column].permute(0, 3, 1, 2) + shift).clamp(0, 1)


report_augmentation = Augmentation(_draw_report, _apply_report)
"""Pad with zeros by an eighth of the size, crop back at random, shift the brightness, clip to [0, 1]; no flip.

For 32 x 32 images in [0, 1]: 40 x 40, a crop of 32 x 32, a shift uniform in [-0.5, 0.5].

Reference: the W&B report's ResNet20v1 (Paul & Thakur 2020, ayulockin/LossLandscape).
"""


def _draw_keras_resnet(
    count: int, size: tuple[int, int], generator: torch.Generator, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    draws = torch.rand((3, count), generator=generator, dtype=dtype)
    return (0.2 * draws[0] - 0.1) * size[0], (0.2 * draws[1] - 0.1) * size[1], draws[2] < 0.5


def _apply_keras_resnet(images: Images, down: Tensor, right: Tensor, flipped: Tensor) -> Images:
    height, width = images.shape[2:]
    row = torch.arange(height, dtype=images.dtype, device=images.device) + down[:, None]
    column = torch.arange(width, dtype=images.dtype, device=images.device) + right[:, None]
    column = torch.where(flipped[:, None], column.flip(1), column)
    return _interpolated(_interpolated(images, row, 2), column, 3)


keras_resnet_augmentation = Augmentation(_draw_keras_resnet, _apply_keras_resnet)
"""Shift by up to a tenth of height and width, to fractions of a pixel, and flip half of the images left to right.

Between pixels values are interpolated linearly; beyond the edge the edge's value goes on.

Reference: the Keras cifar10_resnet example, `ImageDataGenerator(width_shift_range=0.1, height_shift_range=0.1,
horizontal_flip=True)`, whose defaults are `fill_mode="nearest"` and linear interpolation.
"""


def _interpolated(images: Images, position: Float[Tensor, "batch size"], axis: int) -> Images:
    """Images read at fractional positions along one axis, each image at its own; the edge is repeated outwards."""
    last = images.shape[axis] - 1
    position = position.clamp(0, last)
    below = position.floor().long().clamp(max=max(last - 1, 0))
    weight = position - below
    shape = [len(images), 1, 1, 1]
    shape[axis] = position.shape[1]
    index = below.reshape(shape).expand(images.shape)
    above = (below + 1).clamp(max=last).reshape(shape).expand(images.shape)
    return torch.lerp(images.gather(axis, index), images.gather(axis, above), weight.reshape(shape))


def check_augmentation(name: str, data: DataSet) -> None:
    """Refuse data that an augmentation cannot augment.

    Raises:
        DataError: They are no images, or the augmentation clips to [0, 1] and they lie outside.
    """
    if name == "none":
        return
    if len(data.input_shape) != 3:
        raise DataError(
            f"training.augment={name} is for images (height, width, channel); these inputs have the shape "
            f"{data.input_shape}. Use training.augment=none."
        )
    inputs = data.train.inputs
    if name == "report" and inputs.dtype != np.uint8 and (inputs.min() < 0 or inputs.max() > 1):
        raise DataError(
            f"training.augment=report clips to [0, 1], and these floating-point images reach from {inputs.min():g} to "
            f"{inputs.max():g}: scale them first, or give bytes, which are scaled."
        )


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    "report": report_augmentation,
    "keras-resnet": keras_resnet_augmentation,
}
