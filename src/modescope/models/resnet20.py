"""ResNet20v1 (He et al. 2016, section 4.2) as in the Keras cifar10_resnet example.

Where that example and the common PyTorch versions part, it is followed: convolutions have biases, the first
convolution of stages two and three has a 1 x 1 convolution without batch norm on its shortcut, padding is TensorFlow's
`same` (one-sided where the stride leaves an odd rest), batch norm has momentum 0.99 and epsilon 1e-3.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from modescope.models.initialise import he_normal
from modescope.models.layers import GlobalAveragePool, SameConv2d, check_image_size


class ResidualBlock(nn.Module):
    """relu(shortcut(x) + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = SameConv2d(before, after, 3, stride=stride)
        self.norm1 = _norm(after)
        self.conv2 = SameConv2d(after, after, 3)
        self.norm2 = _norm(after)
        self.shortcut = SameConv2d(before, after, 1, stride=stride) if before != after else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(batch, before, height, width) -> (batch, after, height / stride, width / stride)."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(images)))))
        return F.relu(self.shortcut(images) + residual)


def resnet20v1(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Three stages of three residual blocks (16, 32, 64 channels): 273,066 parameters, 1,376 statistics (CIFAR-10).

    Args:
        input_shape: (height, width, channel); at least 4 x 4.
        classes: Number of classes.

    Returns:
        A network (batch, channel, height, width) -> logits (batch, class).

    Raises:
        ModelError: The images are too small.
    """
    check_image_size("resnet20v1", input_shape, 4)
    network = nn.Sequential()
    network.add_module("conv", SameConv2d(input_shape[2], 16, 3))
    network.add_module("norm", _norm(16))
    network.add_module("relu", nn.ReLU())
    before = 16
    for stage, after in enumerate((16, 32, 64), start=1):
        for block in range(1, 4):
            stride = 2 if stage > 1 and block == 1 else 1
            network.add_module(f"stage{stage}_block{block}", ResidualBlock(before, after, stride))
            before = after
    network.add_module("average", GlobalAveragePool())
    network.add_module("logits", nn.Linear(before, classes))
    return network.apply(he_normal)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # PyTorch's momentum is 1 - Keras's
