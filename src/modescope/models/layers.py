"""Layers that PyTorch does not have, and the check that an image survives its pooling."""

import torch.nn.functional as F
from torch import Tensor, nn

from modescope.errors import ModelError


class GlobalAveragePool(nn.Module):
    """The mean over height and width."""

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channel, height, width) -> (batch, channel)."""
        return images.mean(dim=(2, 3))


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) pixels, padded as TensorFlow's `same`."""

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channel, height, width) -> (batch, channel, ceil(height / stride), ceil(width / stride))."""
        height, width = (self._padding(size, axis) for axis, size in enumerate(images.shape[2:]))
        if height[0] == height[1] and width[0] == width[1]:  # the convolution can pad by itself, which is faster
            return F.conv2d(images, self.weight, self.bias, self.stride, (height[0], width[0]))
        return F.conv2d(F.pad(images, (*width, *height)), self.weight, self.bias, self.stride)

    def _padding(self, size: int, axis: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[axis], self.stride[axis]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


def check_image_size(name: str, input_shape: tuple[int, ...], smallest: int) -> None:
    """Refuse what the network's pooling would reduce to nothing.

    Raises:
        ModelError: The inputs are no images, or smaller than `smallest` in height or width.
    """
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest:
        size = " x ".join(map(str, input_shape))
        raise ModelError(
            f"{name} needs images of at least {smallest} x {smallest} pixels; these are {size} (height x width x "
            "channels). Choose another network with model.name."
        )
