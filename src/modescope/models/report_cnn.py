"""SmallCNN and MediumCNN of the W&B report (Paul & Thakur 2020, ayulockin/LossLandscape).

The report's Keras code applies ReLU (and dropout) before pooling. Here pooling comes before ReLU: both only let the
larger value through, so the function and its gradients are the same to the bit, on a quarter of the activations.
"""

from collections import OrderedDict

from torch import nn

from modescope.models.initialise import glorot_uniform
from modescope.models.layers import GlobalAveragePool, check_image_size


def report_smallcnn(input_shape: tuple[int, ...], classes: int, *, dropout: float = 0.1) -> nn.Sequential:
    """Three 3 x 3 convolutions (16, 32, 32), global average, 32 hidden units: 15,722 parameters for CIFAR-10.

    Args:
        input_shape: (height, width, channel); at least 8 x 8.
        classes: Number of classes.
        dropout: Rate before the last layer.

    Returns:
        A network (batch, channel, height, width) -> logits (batch, class).

    Raises:
        ModelError: The images are too small to be pooled three times.
    """
    check_image_size("report-smallcnn", input_shape, 8)
    blocks = [_block(channels) for channels in ((input_shape[2], 16), (16, 32), (32, 32))]
    return _report_cnn(blocks, 32, classes, dropout)


def report_mediumcnn(input_shape: tuple[int, ...], classes: int, *, dropout: float = 0.1) -> nn.Sequential:
    """Four 3 x 3 convolutions (32, 64 without padding, 128, 128), then as above: 245,290 parameters for CIFAR-10.

    Args:
        input_shape: (height, width, channel); at least 20 x 20.
        classes: Number of classes.
        dropout: Rate in every block and before the last layer.

    Returns:
        A network (batch, channel, height, width) -> logits (batch, class).

    Raises:
        ModelError: The images are too small to be pooled four times.
    """
    check_image_size("report-mediumcnn", input_shape, 20)
    blocks = [
        _block((input_shape[2], 32), dropout=dropout),
        _block((32, 64), padding=0, dropout=dropout),
        _block((64, 128), dropout=dropout),
        _block((128, 128), dropout=dropout),
    ]
    return _report_cnn(blocks, 128, classes, dropout)


def _block(channels: tuple[int, int], *, padding: int = 1, dropout: float | None = None) -> nn.Sequential:
    layers: list[tuple[str, nn.Module]] = [("conv", nn.Conv2d(*channels, 3, padding=padding))]
    if dropout is not None:
        layers.append(("dropout", nn.Dropout(dropout)))
    return nn.Sequential(OrderedDict([*layers, ("pool", nn.MaxPool2d(2)), ("relu", nn.ReLU())]))


def _report_cnn(blocks: list[nn.Sequential], channels: int, classes: int, dropout: float) -> nn.Sequential:
    named = [(f"block{number}", block) for number, block in enumerate(blocks, start=1)]
    head = [
        ("average", GlobalAveragePool()),
        ("hidden", nn.Linear(channels, 32)),
        ("relu", nn.ReLU()),
        ("dropout", nn.Dropout(dropout)),
        ("logits", nn.Linear(32, classes)),
    ]
    return nn.Sequential(OrderedDict([*named, *head])).apply(glorot_uniform)
