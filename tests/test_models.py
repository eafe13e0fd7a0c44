"""Networks: parameter counts, order of layers, initialisations, and what does not fit."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from modescope import seeds
from modescope.errors import ModelError
from modescope.models import BUILDERS, build_network
from modescope.models.layers import SameConv2d
from modescope.settings import ModelSettings

CIFAR = (32, 32, 3)


def built(name, input_shape=CIFAR, classes=10, **kwargs):
    with seeds.seeded(0, 0, "init"):
        return build_network(ModelSettings(name=name, kwargs=kwargs), input_shape, classes)


def layers(network):
    """The kinds of layers in the order in which an image meets them."""
    met = []
    kinds = (nn.Conv2d, nn.Dropout, nn.MaxPool2d, nn.ReLU, nn.Flatten, nn.Linear, nn.BatchNorm2d)
    handles = [
        module.register_forward_hook(lambda module, *_: met.append(type(module).__name__))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    network(torch.zeros(2, 3, 32, 32))
    for handle in handles:
        handle.remove()
    return met


@pytest.mark.parametrize(
    ("name", "trainable", "statistics"),
    [
        ("report-smallcnn", 15_722, 0),
        ("report-mediumcnn", 245_290, 0),
        ("paper-smallcnn", 19_466, 0),
        ("paper-mediumcnn", 971_146, 0),
        ("resnet20v1", 273_066, 274_442 - 273_066),
    ],
)
def test_parameter_counts(name, trainable, statistics):
    network = built(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == trainable
    running = [buffer for key, buffer in network.named_buffers() if "running" in key]
    assert sum(buffer.numel() for buffer in running) == statistics


def test_paper_networks_are_conv_dropout_pool_relu_without_a_last_relu():
    block = ["Conv2d", "Dropout", "MaxPool2d", "ReLU"]
    assert layers(built("paper-smallcnn")) == [*block * 2, *block[:3], "Flatten", "Linear"]
    assert layers(built("paper-mediumcnn")) == [*block * 3, *block[:3], "Flatten", "Linear"]


def test_report_networks_pool_before_relu_and_end_in_32_hidden_units():
    head = ["Linear", "ReLU", "Dropout", "Linear"]
    assert layers(built("report-smallcnn")) == [*["Conv2d", "MaxPool2d", "ReLU"] * 3, *head]
    assert layers(built("report-mediumcnn")) == [*["Conv2d", "Dropout", "MaxPool2d", "ReLU"] * 4, *head]


def test_pooling_before_relu_is_the_reports_function_and_has_its_gradients():
    network = built("report-smallcnn").eval()
    images = torch.randn(4, 3, 32, 32, generator=seeds.generator(0, 0, "test"))

    def as_reported(images):
        for block in (network.block1, network.block2, network.block3):
            images = F.max_pool2d(F.relu(block.conv(images)), 2)
        return network.logits(F.relu(network.hidden(images.mean((2, 3)))))

    assert torch.equal(network(images), as_reported(images))
    weight = network.block1.conv.weight
    ours, theirs = (torch.autograd.grad(f(images).square().sum(), weight)[0] for f in (network, as_reported))
    assert torch.equal(ours, theirs)


def test_mediumcnn_of_the_report_has_its_channels_and_one_unpadded_convolution():
    convolutions = [module for module in built("report-mediumcnn").modules() if isinstance(module, nn.Conv2d)]
    assert [module.out_channels for module in convolutions] == [32, 64, 128, 128]
    assert [module.padding for module in convolutions] == [(1, 1), (0, 0), (1, 1), (1, 1)]


def test_resnet_has_keras_batch_norm_biases_and_bare_shortcuts():
    network = built("resnet20v1")
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 19
    assert all(norm.eps == 1e-3 and norm.momentum == pytest.approx(0.01) for norm in norms)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 21  # 19 and two shortcuts
    assert all(module.bias is not None for module in convolutions)
    shortcuts = [module for name, module in network.named_modules() if name.endswith("shortcut")]
    assert [isinstance(module, nn.Identity) for module in shortcuts] == [True] * 3 + [False, True, True] * 2


@pytest.mark.parametrize(("size", "stride"), [(8, 1), (8, 2), (7, 2), (5, 2), (9, 1)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_same_padding_is_tensorflows(size, stride, kernel):
    convolution = SameConv2d(1, 1, kernel, stride=stride, bias=False)
    image = torch.randn(1, 1, size, size, generator=seeds.generator(0, 0, "test"))
    # TensorFlow's rule spelled out: output n reads from n * stride - before on, before = floor(total / 2)
    steps = math.ceil(size / stride)
    before = max((steps - 1) * stride + kernel - size, 0) // 2
    expected = torch.zeros(steps, steps)
    for row in range(steps):
        for column in range(steps):
            for i in range(kernel):
                for j in range(kernel):
                    y, x = row * stride - before + i, column * stride - before + j
                    if 0 <= y < size and 0 <= x < size:
                        expected[row, column] += convolution.weight[0, 0, i, j].detach() * image[0, 0, y, x]
    assert torch.allclose(convolution(image)[0, 0], expected, atol=1e-6)


def test_glorot_and_he_initialisations():
    report, paper, resnet = (built(name) for name in ("report-mediumcnn", "paper-mediumcnn", "resnet20v1"))
    kernel = report.block4.conv.weight
    limit = math.sqrt(6 / (9 * 128 + 9 * 128))
    assert kernel.abs().max() <= limit
    assert kernel.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert all(bias.abs().max() == 0 for name, bias in report.named_parameters() if name.endswith("bias"))

    bias = paper.block3.conv.bias  # the paper's notebook initialises biases too
    assert 0.8 * math.sqrt(3 / 256) < bias.abs().max() <= math.sqrt(3 / 256)

    kernel = resnet.stage3_block3.conv2.weight
    std = math.sqrt(2 / (9 * 64))
    assert kernel.std().item() == pytest.approx(std, rel=0.02)
    assert kernel.abs().max() <= 2 * std / 0.8796 + 1e-6


@pytest.mark.parametrize("name", sorted(BUILDERS))
@pytest.mark.parametrize(("shape", "classes"), [((32, 32, 3), 10), ((40, 24, 1), 3), ((28, 28, 5), 100)])
def test_any_image_size_and_channel_number(name, shape, classes):
    network = built(name, shape, classes).eval()
    images = torch.randn(3, shape[2], *shape[:2], generator=seeds.generator(0, 0, "test"))
    assert network(images).shape == (3, classes)


@pytest.mark.parametrize(
    ("name", "smallest"),
    [("report-smallcnn", 8), ("report-mediumcnn", 20), ("paper-smallcnn", 8), ("paper-mediumcnn", 16)],
)
def test_too_small_images_are_refused_and_the_smallest_are_not(name, smallest):
    assert built(name, (smallest, smallest, 1))
    with pytest.raises(ModelError, match=f"at least {smallest} x {smallest} pixels; these are {smallest - 1} x"):
        built(name, (smallest - 1, smallest, 1))


def test_dropout_is_an_argument():
    rates = {module.p for module in built("paper-smallcnn", dropout=0.4).modules() if isinstance(module, nn.Dropout)}
    assert rates == {0.4}


# --- networks from elsewhere --------------------------------------------------------------------------------------


def two_layers(input_shape, classes, width=8):
    height, across, channels = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(height * across * channels, width), nn.Linear(width, classes))


def not_a_network():
    return 3


def wrong_output(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, num_classes + 1))


def test_a_factory_gets_what_its_signature_names():
    network = built("test_models:two_layers", (8, 8, 3), 4, width=5)
    assert network[1].in_features == 192
    assert network[1].out_features == 5
    assert network[2].out_features == 4


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("resnet", {}, "There is no network 'resnet': the nearest is 'resnet20v1'"),
        ("resnet20v1", {"depth": 3}, "model.kwargs do not fit resnet20v1"),
        ("nowhere.at_all:net", {}, "nowhere.at_all:net cannot be imported: ModuleNotFoundError"),
        ("test_models:missing", {}, "test_models:missing cannot be imported: AttributeError"),
        ("test_models:CIFAR", {}, "is a tuple, not a function"),
        ("test_models:not_a_network", {}, "returned int; a torch.nn.Module is needed"),
        ("test_models:two_layers", {"depth": 1}, "failed with TypeError"),
        ("test_models:wrong_output", {}, r"logits of shape \(2, 10\) are needed"),
        ("torch.nn:Flatten", {}, r"gives \(2, 192\) for two examples"),
    ],
)
def test_what_does_not_fit_is_said(name, kwargs, message):
    with pytest.raises(ModelError, match=message):
        built(name, (8, 8, 3), **kwargs)


SMALL_VIT = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "patch_size": 4,
}  # fmt: skip


def test_networks_of_transformers_are_built_without_a_download():
    network = built("hf:vit", (8, 8, 1), 7, **SMALL_VIT)
    assert network(torch.zeros(2, 1, 8, 8)).logits.shape == (2, 7)
    assert network.config.hidden_size == 16
    with pytest.raises(ModelError, match=r"no image classifier of the type 'vitt'\. It has .*vit"):
        built("hf:vitt", (8, 8, 1), 7)
    with pytest.raises(ModelError, match="hf:vit cannot be built with"):
        built("hf:vit", (8, 8, 1), 7, **{**SMALL_VIT, "hidden_act": "nothing"})


def test_timm_networks():
    try:
        import timm  # noqa: F401
    except Exception:
        with pytest.raises(ModelError, match=r"pip install 'modescope\[zoo\]'"):
            built("timm:resnet18")
        pytest.skip("timm does not import here")
    network = built("timm:resnet18", (32, 32, 1), 7)
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 7)
    with pytest.raises(ModelError, match="timm has no network 'resnet1800'"):
        built("timm:resnet1800")


def test_members_start_apart_and_a_member_starts_the_same_twice():
    first, again = built("report-smallcnn").state_dict(), built("report-smallcnn").state_dict()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    with seeds.seeded(0, 1, "init"):
        other = build_network(ModelSettings(name="report-smallcnn"), CIFAR, 10).state_dict()
    assert not any(np.array_equal(first[name], other[name]) for name in first if name.endswith("weight"))
