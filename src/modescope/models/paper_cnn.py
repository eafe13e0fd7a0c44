"""SmallCNN and MediumCNN of the paper (Fort, Hu & Lakshminarayanan 2019, section 3) as in the authors' notebook.

Blocks of 3 x 3 convolution, dropout, 2 x 2 max-pool, ReLU, in this order; the last block has no ReLU; then flatten and
one linear layer. No batch norm.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from modescope.models.initialise import glorot_uniform_with_biases
from modescope.models.layers import check_image_size


def paper_smallcnn(input_shape: tuple[int, ...], classes: int, *, dropout: float = 0.1) -> nn.Sequential:
    """Channels 16, 32, 32: 19,466 parameters for CIFAR-10.

    Args:
        input_shape: (height, width, channel); at least 8 x 8.
        classes: Number of classes.
        dropout: Rate in every block.

    Returns:
        A network (batch, channel, height, width) -> logits (batch, class).

    Raises:
        ModelError: The images are too small to be pooled three times.
    """
    return _paper_cnn("paper-smallcnn", (16, 32, 32), input_shape, classes, dropout)


def paper_mediumcnn(input_shape: tuple[int, ...], classes: int, *, dropout: float = 0.1) -> nn.Sequential:
    """Channels 64, 128, 256, 256: 971,146 parameters for CIFAR-10.

    Args:
        input_shape: (height, width, channel); at least 16 x 16.
        classes: Number of classes.
        dropout: Rate in every block.

    Returns:
        A network (batch, channel, height, width) -> logits (batch, class).

    Raises:
        ModelError: The images are too small to be pooled four times.
    """
    return _paper_cnn("paper-mediumcnn", (64, 128, 256, 256), input_shape, classes, dropout)


def _paper_cnn(
    name: str, channels: Sequence[int], input_shape: tuple[int, ...], classes: int, dropout: float
) -> nn.Sequential:
    check_image_size(name, input_shape, 2 ** len(channels))
    height, width, before = input_shape
    layers: list[tuple[str, nn.Module]] = []
    for number, after in enumerate(channels, start=1):
        block: list[tuple[str, nn.Module]] = [
            ("conv", nn.Conv2d(before, after, 3, padding=1)),
            ("dropout", nn.Dropout(dropout)),
            ("pool", nn.MaxPool2d(2)),
        ]
        if number < len(channels):
            block.append(("relu", nn.ReLU()))
        layers.append((f"block{number}", nn.Sequential(OrderedDict(block))))
        before, height, width = after, height // 2, width // 2
    head = [("flatten", nn.Flatten()), ("logits", nn.Linear(before * height * width, classes))]
    return nn.Sequential(OrderedDict([*layers, *head])).apply(glorot_uniform_with_biases)
